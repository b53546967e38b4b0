"""Python functions as tasks: how a call travels, what comes back, and many calls over a few workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_core._lazy import attribute

if TYPE_CHECKING:
    from flow_core.functions._remote import (
        RemoteFunction as RemoteFunction,
    )

_HOMES = {"flow_core.functions._remote": "RemoteFunction"}

__all__ = ["RemoteFunction"]


def __getattr__(name: str) -> object:
    return attribute(__name__, _HOMES, name)
