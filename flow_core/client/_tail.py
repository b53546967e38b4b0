"""The end of a log, or what was written since a moment, and what comes after it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import attrs

from flow_core.client._logs import read_log
from flow_core.client._reach import open_nodes
from flow_core.client._stored_logs import stored_nodes
from flow_core.errors import FlowError
from flow_core.types import LogChunk, LogCursor, Position, parse_ref

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.nodes import Node

Stream = tuple[int, int, str]


def read_end(
    session: Session,
    task_id: str,
    follow: bool,
    tail: int | None,
    since: float | None,
    ranks: Collection[int] | None,
    streams: Collection[str],
    closed: Callable[[], bool],
) -> Iterator[LogChunk]:
    """Yield the last ``tail`` lines of each stream, written at ``since`` (UTC seconds) or later, and then what follows.

    The nodes say where that begins; where none can be reached the log is read through once.
    """
    if nodes := _nodes(session, task_id, streams):
        cursor = _latest([*_asked(nodes, tail, since)])
    else:
        cursor = LogCursor()
        seen = _Seen(read_log(session, task_id, cursor, False, ranks, streams, closed))
        chunks = (chunk for chunk in seen if since is None or chunk.time is None or chunk.time >= since)
        yield from chunks if tail is None else _last_lines(chunks, tail)
        cursor = seen.cursor
    if nodes or follow:
        yield from read_log(session, task_id, cursor, follow, ranks, streams, closed)


class _Seen:
    """Passes chunks on and knows where to go on behind them."""

    def __init__(self, chunks: Iterable[LogChunk]) -> None:
        self.cursor = LogCursor()
        self._chunks = chunks

    def __iter__(self) -> Iterator[LogChunk]:
        for chunk in self._chunks:
            self.cursor = self.cursor.after(chunk)
            yield chunk


def _nodes(session: Session, task_id: str, streams: Collection[str]) -> list[Node]:
    row = session.journal.task(task_id)
    if row.ref is None:
        return []
    try:
        found = open_nodes(session.provider(row.profile), parse_ref(row.ref)[2])
    except FlowError:
        found = []
    return [node for node, _ in found or stored_nodes(session, row, streams)]


def _asked(nodes: Iterable[Node], tail: int | None, since: float | None) -> Iterator[LogCursor]:
    for node in nodes:
        if tail is not None:
            yield node.tail(tail)
        if since is not None:
            yield node.since(since)


def _latest(cursors: Iterable[LogCursor]) -> LogCursor:
    places: dict[Stream, Position] = {}
    for cursor in cursors:
        for place, position in cursor.positions.items():
            if place not in places or places[place].offset < position.offset:
                places[place] = position
    return LogCursor({**places})


def _last_lines(chunks: Iterable[LogChunk], lines: int) -> Iterator[LogChunk]:
    """Yield the chunks that hold the last lines of each stream, in their order, the first one cut."""
    kept: dict[Stream, deque[tuple[int, LogChunk]]] = {}
    for number, chunk in enumerate(chunks):
        end = kept.setdefault((chunk.attempt, chunk.rank, chunk.stream), deque())
        end.append((number, chunk))
        while len(end) > 1 and sum(held.data.count(b"\n") for _, held in list(end)[1:]) > lines:
            end.popleft()
    cut = [item for end in kept.values() for item in _cut(end, lines)]
    return (chunk for _, chunk in sorted(cut, key=lambda item: item[0]))


def _cut(end: deque[tuple[int, LogChunk]], lines: int) -> Iterator[tuple[int, LogChunk]]:
    data = b"".join(chunk.data for _, chunk in end)
    skip = len(data)
    for _ in range(lines):
        skip = data.rfind(b"\n", 0, max(skip - 1, 0)) + 1
    for number, chunk in end:
        gone = min(skip, len(chunk.data))
        skip -= gone
        if gone < len(chunk.data):
            yield number, attrs.evolve(chunk, offset=chunk.offset + gone, data=chunk.data[gone:])
