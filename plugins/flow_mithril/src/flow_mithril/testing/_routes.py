"""Which function answers which operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from flow_mithril.testing._world import Row, World


@attrs.frozen
class Call:
    """A request that is in order: its values have their types."""

    path: Mapping[str, str]
    query: Row
    body: Row
    key: Row
    """The API key it came with."""


Handler = Callable[[World, Call], Any]
HANDLERS: dict[tuple[str, str], tuple[int, Handler]] = {}


def answers(method: str, path: str, status: int = 200) -> Callable[[Handler], Handler]:
    """Register the function that answers ``method path`` with ``status`` and what it returns as the body."""

    def register(handler: Handler) -> Handler:
        HANDLERS[method, path] = status, handler
        return handler

    return register
