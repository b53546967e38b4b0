"""The machine interface: one envelope per answer, or per item where a command follows something."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import attrs
import click

from flow_core.cli._invocation import command_name

VERSION = 1


def emit(data: object, command: str = "") -> None:
    """Print one envelope with ``data`` on stdout, under the name of the running command."""
    name = command or command_name(click.get_current_context(silent=True))
    sys.stdout.write(envelope(name, data) + "\n")
    sys.stdout.flush()


def envelope(command: str, data: object, error: Mapping[str, object] | None = None) -> str:
    """Return the envelope as one line of JSON, in ASCII: it can be read whatever the locale says, and whatever bytes a name has."""
    content = {"schema": f"flow.{command}/{VERSION}", "data": data, "error": error}
    return json.dumps(plain(content), separators=(", ", ": "))


def plain(value: Any) -> Any:
    """Return ``value`` in JSON's own kinds: records become mappings, money and paths what a program expects."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None  # JSON has no infinity
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if attrs.has(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, PurePath) else repr(value)
