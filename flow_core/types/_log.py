"""Logs as bytes, and the cursor that resumes them exactly."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from flow_core.types._mapping import EMPTY, read_only


@attrs.frozen
class Position:
    """How far one stream was read: ``offset`` bytes, and where a platform needs it its own ``token``."""

    offset: int
    token: str = ""


@attrs.frozen
class LogCursor:
    """Where to go on reading: (attempt, rank, stream) -> :class:`Position`; a stream that is absent begins at 0."""

    positions: Mapping[tuple[int, int, str], Position] = attrs.field(default=EMPTY, converter=read_only)

    def after(self, chunk: LogChunk) -> LogCursor:
        """Return the cursor that goes on behind ``chunk``."""
        place = (chunk.attempt, chunk.rank, chunk.stream)
        return LogCursor({**self.positions, place: Position(chunk.offset + len(chunk.data), chunk.token)})


@attrs.frozen
class LogChunk:
    """Bytes of one stream: ``stdout``, ``stderr``, ``both`` or ``system`` (Flow's own words), from ``offset`` on.

    ``time`` is UTC seconds of its beginning where it is known; ``gap`` is the number of bytes known to be lost before it.
    """

    attempt: int
    rank: int
    stream: str
    offset: int
    data: bytes
    time: float | None = None
    token: str = ""
    gap: int = 0
