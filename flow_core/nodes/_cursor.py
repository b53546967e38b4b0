"""What is read of a log, and from where: streams, and cursors as core's records and as the runner's plain offsets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_core.types import LogCursor, Position

if TYPE_CHECKING:
    from collections.abc import Mapping

Key = tuple[int, int, str]
STREAMS = ("stdout", "stderr")


def to_offsets(cursor: LogCursor) -> dict[Key, int]:
    """Return the runner's form of ``cursor``."""
    return {key: position.offset for key, position in cursor.positions.items()}


def from_offsets(offsets: Mapping[Key, int]) -> LogCursor:
    """Return the cursor at the runner's ``offsets``."""
    return LogCursor({key: Position(offset) for key, offset in offsets.items()})
