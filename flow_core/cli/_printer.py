"""A task's log as it reaches the user: byte for byte, by whole lines with times, or as items for a program."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, BinaryIO, Protocol

from flow_core.cli._envelope import emit
from flow_core.cli._talk import say
from flow_core.types import LogChunk, LogCursor

if TYPE_CHECKING:
    from flow_core.secrets import RedactedStream, Redactor

Stream = tuple[int, int, str]
_LONGEST = 1 << 20


class Sink(Protocol):
    """Where redacted bytes go."""

    def write(self, chunk: LogChunk, data: bytes) -> None:
        """Take the bytes that ``chunk`` became."""

    def finish(self) -> None:
        """The log has ended: give out what was held back."""


class Printer:
    """Masks secrets, passes chunks on and knows how far it is."""

    def __init__(self, sink: Sink, redactor: Redactor | None = None, cursor: LogCursor | None = None) -> None:
        self.cursor = LogCursor() if cursor is None else cursor
        self._sink = sink
        self._redactor = redactor or None
        self._streams: dict[Stream, tuple[RedactedStream, LogChunk]] = {}

    def write(self, chunk: LogChunk) -> None:
        """Print one chunk; afterwards ``cursor`` is behind it. What is known to be missing before it is said."""
        if chunk.gap:
            say(f"warning: {chunk.gap} bytes of {chunk.stream} (node {chunk.rank}) are lost before this")
        self._sink.write(chunk, chunk.data if self._redactor is None else self._masked(chunk, self._redactor))
        self.cursor = self.cursor.after(chunk)

    def _masked(self, chunk: LogChunk, redactor: Redactor) -> bytes:
        place = (chunk.attempt, chunk.rank, chunk.stream)
        stream = self._streams[place][0] if place in self._streams else redactor.stream()
        self._streams[place] = (stream, chunk)
        return stream.feed(chunk.data)

    def finish(self) -> None:
        """The log has ended: print what was held back because it might have become a secret."""
        for stream, last in self._streams.values():
            if rest := stream.flush():
                self._sink.write(last, rest)
        self._streams.clear()
        self._sink.finish()


class Raw:
    """The task's stdout to ``out`` and its stderr to ``err``, as they are."""

    def __init__(self, out: BinaryIO, err: BinaryIO) -> None:
        self._out, self._err = out, err

    def write(self, chunk: LogChunk, data: bytes) -> None:
        """Write and flush."""
        target = self._err if chunk.stream == "stderr" else self._out
        target.write(data)
        target.flush()

    def finish(self) -> None:
        """Nothing is held back."""


class Lines:
    """Whole lines, so that those of several nodes do not tear each other; ``times`` puts the time in front.

    A line of more than a mebibyte is not held back until its end: memory has one.
    """

    def __init__(self, out: BinaryIO, err: BinaryIO, times: bool = False) -> None:
        self._raw = Raw(out, err)
        self._times = times
        self._begun: dict[Stream, tuple[LogChunk, bytes]] = {}
        self._torn: set[Stream] = set()

    def write(self, chunk: LogChunk, data: bytes) -> None:
        """Write the lines that are complete by now."""
        place = (chunk.attempt, chunk.rank, chunk.stream)
        first, begun = self._begun.pop(place, (chunk, b""))
        whole, newline, rest = (begun + data).rpartition(b"\n")
        if newline:
            self._put(place, first, whole + newline)
        if len(rest) > _LONGEST:
            self._put(place, chunk if newline else first, rest)
        elif rest:
            self._begun[place] = (chunk if newline else first, rest)

    def _put(self, place: Stream, chunk: LogChunk, data: bytes) -> None:
        torn = place in self._torn
        (self._torn.discard if data.endswith(b"\n") else self._torn.add)(place)
        self._raw.write(chunk, self._lines(chunk, data, torn))

    def _lines(self, chunk: LogChunk, data: bytes, torn: bool) -> bytes:
        if not self._times:
            return data
        prefix = _moment(chunk.time) + b" "
        lines = data.splitlines(keepends=True)
        head = lines.pop(0) if torn else b""
        return head + b"".join(prefix + line for line in lines)

    def finish(self) -> None:
        """Write the last lines, those without an end."""
        for place, (chunk, data) in self._begun.items():
            self._put(place, chunk, data)
        self._begun.clear()


class Items:
    """One envelope per chunk: ``text`` where it is UTF-8, else ``base64``."""

    def __init__(self, task_id: str, command: str) -> None:
        self._task_id, self._command = task_id, command

    def write(self, chunk: LogChunk, data: bytes) -> None:
        """Print one item."""
        emit(log_item(self._task_id, chunk, data), self._command)

    def finish(self) -> None:
        """Nothing is held back."""


class Collected:
    """All chunks in one list, for one envelope."""

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self.items: list[dict[str, object]] = []

    def write(self, chunk: LogChunk, data: bytes) -> None:
        """Keep one item."""
        self.items.append(log_item(self._task_id, chunk, data))

    def finish(self) -> None:
        """Nothing is held back."""


def log_item(task_id: str, chunk: LogChunk, data: bytes) -> dict[str, object]:
    """Return what JSON says of some bytes of a log; ``offset`` and ``size`` are the chunk's own, before masking."""
    item: dict[str, object] = {
        "task": task_id,
        "attempt": chunk.attempt,
        "node": chunk.rank,
        "stream": chunk.stream,
        "offset": chunk.offset,
        "size": len(chunk.data),
        "time": chunk.time,
        "gap": chunk.gap,
    }
    try:
        return {**item, "text": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {**item, "base64": base64.b64encode(data).decode("ascii")}


def _moment(seconds: float | None) -> bytes:
    """Return a time of fixed width, so that columns stay columns where it is not known."""
    if seconds is None:
        return b"-" * 24
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z".encode()
