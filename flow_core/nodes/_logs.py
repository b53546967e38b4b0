"""Bytes that come from a node through a pipe which may fall silent or be cut."""

from __future__ import annotations

import io
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO

from flow_core.errors import FlowError, TransientError
from flow_core.nodes._connection import UNREACHABLE
from flow_core.nodes._remote import BEGIN
from flow_core.runner import reader
from flow_core.types import LogChunk, LogCursor

Start = Callable[[LogCursor, IO[bytes]], "subprocess.Popen[bytes]"]
Explain = Callable[[int, bytes], "FlowError | None"]

_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)  # seconds until the next try, at a node that answers but has nothing to tell yet
_CUT_OFF = 4.5  # seconds until the next try at one that cannot be reached: time to learn that its task has ended
_LOOK = 0.5  # seconds between two questions whether to go on
_SILENCE = 35.0  # seconds; the node says something at least each ten
_GREETING = 1 << 20  # bytes that a login script may print
_BLOCK = 1 << 16


def read(start: Start, explain: Explain, cursor: LogCursor, closed: Callable[[], bool] | None) -> Iterator[LogChunk]:
    """Yield what the node's reader sends from ``cursor`` on; after a cut it goes on at the same byte.

    ``start`` begins a reader at a cursor, with a file for its stderr; ``explain`` says what its exit code means.
    Raises TransientError after five vain tries in a row, or when ``closed`` ends them while the node cannot be reached;
    and at once what no try can mend.
    """
    tries = 0
    while True:
        reading = _Reading(start, explain, closed)
        for chunk in reading.chunks(cursor):
            cursor = cursor.after(chunk)
            yield chunk
        tries = 0 if reading.spoke else tries + 1
        if reading.ended:
            return
        over = _pause(_CUT_OFF if tries and reading.cut else _PAUSES[max(tries - 1, 0)], closed)
        if over and not reading.cut:
            return
        if over or tries >= len(_PAUSES):
            raise reading.trouble


def _pause(seconds: float, closed: Callable[[], bool] | None) -> bool:
    """Wait; say whether nobody wants more."""
    until = time.monotonic() + seconds
    while not (closed is not None and closed()):
        left = until - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, _LOOK))
    return True


class _Reading:
    """One try: ``ended`` when the node said that this is all, ``spoke`` when it said anything; ``trouble`` ended it, and
    what it may have had to say is not known where it was ``cut``."""

    def __init__(self, start: Start, explain: Explain, closed: Callable[[], bool] | None) -> None:
        self._start, self._explain, self._closed = start, explain, closed
        self.ended = self.spoke = self.cut = False
        self.trouble: FlowError = TransientError("the node fell silent", "see whether it is up")

    def chunks(self, cursor: LogCursor) -> Iterator[LogChunk]:
        """Yield what comes; being cut is no error here."""
        with tempfile.TemporaryFile() as errors:
            try:
                process = self._start(cursor, errors)
            except TransientError as error:
                self.trouble, self.cut = error, True
                return
            with _ending(process):
                yield from self._frames(process)
            if not self.ended:
                self._judge(process.wait(), _content(errors))

    def _frames(self, process: subprocess.Popen[bytes]) -> Iterator[LogChunk]:
        stream = _stream(process, self._closed)
        if not _skip_greeting(stream):
            return
        for frame in reader.parse_frames(stream):
            self.spoke = True
            if isinstance(frame, dict):
                self.ended = self.ended or "end" in frame
            else:
                yield LogChunk(frame.attempt, frame.rank, frame.stream, frame.offset, frame.data, frame.time)

    def _judge(self, code: int, said: bytes) -> None:
        if code == 0:  # it came to its end while nobody read on
            return
        trouble, self.cut = self._explain(code, said), code == UNREACHABLE
        if trouble is not None and not isinstance(trouble, TransientError):
            raise trouble
        self.trouble = trouble or self.trouble


def drain(process: subprocess.Popen[bytes], take: Callable[[bytes], object]) -> int:
    """Give ``take`` all that comes behind the greeting; return the exit code."""
    for data in behind_greeting(process):
        take(data)
    return process.returncode


def behind_greeting(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Yield all that comes behind the greeting, until the process has ended."""
    with _ending(process):
        stream = _stream(process, None)
        if _skip_greeting(stream):
            while data := stream.read(_BLOCK):
                yield data
        process.wait(_SILENCE)


def without_greeting(data: bytes) -> bytes:
    """Return what stands behind the mark that our own output begins with; nothing when there is none."""
    return data.partition(BEGIN)[2]


def _skip_greeting(stream: BinaryIO) -> bool:
    left = _GREETING
    while left > 0 and (line := stream.readline(left)):
        if line.endswith(BEGIN):
            return True
        left -= len(line)
    return False


@contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave no process behind; one that is about to end by itself may."""
    try:
        with process:
            try:
                yield
                process.wait(0.5)
            finally:
                process.kill()
    except subprocess.TimeoutExpired:
        return


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _stream(process: subprocess.Popen[bytes], closed: Callable[[], bool] | None) -> BinaryIO:
    if process.stdout is None:
        raise AssertionError("it was started without a pipe")
    return io.BufferedReader(_Pipe(process.stdout.fileno(), closed), _BLOCK)


class _Pipe(io.RawIOBase):
    """A pipe that ends early when ``closed`` says so, or after 35 s without a byte."""

    def __init__(self, fd: int, closed: Callable[[], bool] | None) -> None:
        self._fd, self._unwanted = fd, closed
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, room: memoryview) -> int:  # type: ignore[override]
        """Fill ``room`` with what there is; 0 at the end."""
        until = time.monotonic() + _SILENCE
        while not self._poll.poll(_LOOK * 1000):
            if time.monotonic() > until or (self._unwanted is not None and self._unwanted()):
                return 0
        data = os.read(self._fd, len(room))
        room[: len(data)] = data
        return len(data)
