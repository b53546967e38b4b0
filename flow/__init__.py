"""``import flow``: the public names of :mod:`flow_core`, which see. Where another distribution owns this name, use that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flow_core

if TYPE_CHECKING:
    from flow_core import *  # noqa: F403

__all__ = flow_core.__all__


def __getattr__(name: str) -> Any:
    return getattr(flow_core, name)


def __dir__() -> list[str]:
    return dir(flow_core)
