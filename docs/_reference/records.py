"""The records, from their attrs classes."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from _reference.markdown import fields, page, prose
from flow_core import types

_INTRO = """
Immutable attrs classes of `flow_core.types`; most are public names of `flow_core` too. Times are UTC seconds, sizes
bytes, durations seconds, money USD per hour. What a task may be asked for has a page of its
own: [config.md](config.md).
"""


def pages() -> Mapping[str, str]:
    """Return the page."""
    records = [getattr(types, name) for name in types.__all__]
    parts = [_part(record) for record in records if isinstance(record, type) and attrs.has(record)]
    return {"records.md": page("Records", _INTRO, *parts)}


def _part(record: type) -> str:
    shown = "Its fields: [config.md](config.md)." if record is types.TaskConfig else fields(record)
    return f"## {record.__name__}\n\n{prose(record.__doc__)}\n\n{shown}"
