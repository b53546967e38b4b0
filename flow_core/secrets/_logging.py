"""Keeps secrets out of Flow's own log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from flow_core.secrets._redact import Redactor

Processor = Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]


def redact_event(redactor: Redactor) -> Processor:
    """Return a structlog processor that masks values in all text of an event, however deep.

    It belongs behind the processors that render exceptions and before the one that renders the event.
    """

    def process(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if redactor:
            event.update({key: _redacted(redactor, value) for key, value in event.items()})
        return event

    return process


def _redacted(redactor: Redactor, value: Any) -> Any:
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, bytes):
        return redactor.bytes(value)
    if isinstance(value, Mapping):
        return {_redacted(redactor, key): _redacted(redactor, part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(redactor, part) for part in value]
    if isinstance(value, (int, float, type(None))):
        return value
    shown = repr(value)
    masked = redactor.text(shown)
    return value if masked == shown else masked
