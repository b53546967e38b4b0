"""Turns what a user wrote (a file, flags, keywords) into a valid :class:`~flow_core.types.TaskConfig`, and back.

Nothing is converted by guess, and every problem is reported at once, with its place and the mend. Importing this costs
nothing: each name brings what it needs when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flow_core.spec._canonical import fingerprint, from_mapping, to_mapping, user_form
    from flow_core.spec._files import is_task_file, load_mapping, read_file
    from flow_core.spec._flags import Flag, flags, read_flags
    from flow_core.spec._merge import merge
    from flow_core.spec._name import default_name
    from flow_core.spec._reader import check, read_mapping
    from flow_core.spec._report import locate
    from flow_core.spec._schema import json_schema

_HOMES = {
    "Flag": "_flags",
    "check": "_reader",
    "default_name": "_name",
    "fingerprint": "_canonical",
    "flags": "_flags",
    "from_mapping": "_canonical",
    "is_task_file": "_files",
    "json_schema": "_schema",
    "load_mapping": "_files",
    "locate": "_report",
    "merge": "_merge",
    "read_file": "_files",
    "read_flags": "_flags",
    "read_mapping": "_reader",
    "to_mapping": "_canonical",
    "user_form": "_canonical",
}

__all__ = [
    "Flag",
    "check",
    "default_name",
    "fingerprint",
    "flags",
    "from_mapping",
    "is_task_file",
    "json_schema",
    "load_mapping",
    "locate",
    "merge",
    "read_file",
    "read_flags",
    "read_mapping",
    "to_mapping",
    "user_form",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value  # a submission asks for a dozen of them
    return value
