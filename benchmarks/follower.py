"""Followers of a log: ``tail -F``, ``flow logs -f`` and the iterator, behind one face; and the writer they follow.

Every writer first prints one line and then waits at a FIFO, so that what follows it is there before it begins.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from benchmarks.place import flow_command

if TYPE_CHECKING:
    from pathlib import Path

    from flow_core import Task

READY = b"ready\n"
_WAIT = "import os, sys, time\nos.write(1, b'ready\\n')\nopen(sys.argv[1]).close()\n"
Pieces = Iterator[bytes]


@attrs.frozen
class Following:
    """A writer that is being followed: ``pieces`` are its bytes as they come, ``end`` waits for its end."""

    pieces: Pieces
    end: Callable[[], object]


@attrs.frozen
class Writer:
    """A Python program that waits, then runs ``code``; its own arguments are the FIFO and ``*arguments``."""

    folder: Path
    code: str
    arguments: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """Make its FIFO anew and return its command line."""
        self.gate.unlink(missing_ok=True)
        os.mkfifo(self.gate)
        return [sys.executable, "-I", "-S", "-c", _WAIT + self.code, str(self.gate), *self.arguments]

    @property
    def gate(self) -> Path:
        """The FIFO."""
        return self.folder / "gate"

    def go(self) -> None:
        """Let it begin."""
        self.gate.open("w").close()


def followed(writer: Writer, follow: Callable[[Writer], Following], take: Callable[[bytes], bool]) -> None:
    """Start and follow a writer, let it go when its first line was seen, and give ``take`` all that comes behind it.

    Ends when ``take`` says that it has everything; raises AssertionError when the log ends before that.
    """
    following, head, there = follow(writer), b"", False
    for piece in following.pieces:
        if there:
            if take(piece):
                break
            continue
        head += piece
        if head.startswith(READY):
            there = True
            writer.go()
            if len(head) > len(READY):
                take(head[len(READY) :])
    else:
        raise AssertionError("the log ended before all of it came")
    following.end()


def by_tail(writer: Writer) -> Following:
    """Follow a file with ``tail -F``, which nothing of Flow touches."""
    path = writer.folder / "plain.log"
    path.write_bytes(b"")
    with path.open("ab") as log:
        child = subprocess.Popen(writer.command(), stdout=log)
    return _reading(["tail", "-n", "+1", "-F", str(path)], child, ends_by_itself=False)


def by_iterator(writer: Writer) -> Following:
    """Follow with ``task.logs(follow=True)``."""
    task = _submitted(writer)
    return Following((chunk.data for chunk in task.logs(follow=True)), task.wait)


def by_flow_logs(writer: Writer) -> Following:
    """Follow with ``flow logs -f``."""
    return _reading(flow_command("logs", "-f", _submitted(writer).id), None, ends_by_itself=True)


def _submitted(writer: Writer, **fields: list[str]) -> Task:
    import flow_core as flow

    return flow.submit(writer.command(), **fields)  # type: ignore[arg-type]


def with_secret(follow: Callable[[Writer], Following], name: str) -> Callable[[Writer], Following]:
    """Return ``follow`` for tasks that have a secret; the iterator's bytes are masked as ``task.stream`` masks them."""

    def by_masked_iterator(writer: Writer) -> Following:
        task = _submitted(writer, secrets=[name])
        masked = task.redactor().stream()
        return Following((masked.feed(chunk.data) for chunk in task.logs(follow=True)), task.wait)

    def by_masked_flow_logs(writer: Writer) -> Following:
        return _reading(flow_command("logs", "-f", _submitted(writer, secrets=[name]).id), None, ends_by_itself=True)

    return by_masked_iterator if follow is by_iterator else by_masked_flow_logs


def _reading(command: list[str], child: subprocess.Popen[bytes] | None, ends_by_itself: bool) -> Following:
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)

    def end() -> None:
        if not ends_by_itself:
            reader.kill()
        reader.wait(30)
        if child is not None:
            child.wait(30)

    return Following(_pieces(reader), end)


def _pieces(process: subprocess.Popen[bytes]) -> Pieces:
    if process.stdout is None:
        raise ValueError("it was started without a pipe")
    while piece := process.stdout.read(1 << 18):
        yield piece
    process.stdout.close()


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Have an environment variable for a while."""
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def now() -> float:
    """Return the clock that a writer prints (CLOCK_MONOTONIC, the same in every process)."""
    return time.monotonic()
