"""What travels to a node: the user's code, chosen as git would, and the document that the runner reads."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flow_core.bundle._copy import content_hash, copy, copy_files
    from flow_core.bundle._document import build, code_mode, code_root, rooted
    from flow_core.bundle._progress import Progress, shown
    from flow_core.bundle._select import Selection, select

_MODULES = {
    "Progress": "_progress",
    "Selection": "_select",
    "build": "_document",
    "code_mode": "_document",
    "code_root": "_document",
    "content_hash": "_copy",
    "copy": "_copy",
    "copy_files": "_copy",
    "rooted": "_document",
    "select": "_select",
    "shown": "_progress",
}

__all__ = [
    "Progress",
    "Selection",
    "build",
    "code_mode",
    "code_root",
    "content_hash",
    "copy",
    "copy_files",
    "rooted",
    "select",
    "shown",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for: a task whose code is used in place needs none of the rules about files."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value  # a submission asks for a dozen of them
    return value
