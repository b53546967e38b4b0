"""Read a task's logs out of its folder: exact bytes, resumable, woken by the kernel, also over ssh."""

import json
import os
import sys
import time
from typing import (
    Any,
    BinaryIO,
    Callable,
    Collection,
    Dict,
    Generator,
    Iterator,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from .logfiles import BLOCK, Cursor, Key, Log, Path, Piece, close_fd
from .logtimes import last_offset, time_at, written_since

__all__ = ["BLOCK", "STREAMS", "Cursor", "Key", "Piece", "Reading", "main", "parse_cursor", "parse_frames"]
__all__ += ["read", "since", "tail", "time_at", "write_cursor", "write_frames"]

Folder = Union[Path, int]

STREAMS = ("stdout", "stderr")
_BACKWARDS = 64 * 1024  # bytes
_BEAT = 10.0  # seconds
_HEADER = 4096  # bytes: no header is longer


class Reading(Iterator[Piece]):
    """The pieces of one ``read``. ``close`` releases what it holds; so does reaching the end."""

    def __init__(self, log: Log, pieces: Generator[Piece, None, None]) -> None:
        self._log, self._pieces = log, pieces

    @property
    def folder_fd(self) -> int:
        """The descriptor of the folder that is read, wherever it has been moved; -1 once closed."""
        return self._log.fd

    def __next__(self) -> Piece:
        try:
            return next(self._pieces)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release all descriptors; a second call does nothing."""
        self._pieces.close()
        self._log.close()

    def __del__(self) -> None:
        self.close()


def read(
    folder: Folder,
    cursor: Cursor,
    follow: bool,
    ranks: Optional[Collection[int]] = None,
    streams: Collection[str] = STREAMS,
    closed: Optional[Callable[[], bool]] = None,
) -> Reading:
    """Yield what the streams of a task folder hold from ``cursor`` on, and with ``follow`` what comes.

    ``folder`` is a path, or a directory descriptor of the caller's; it may be renamed meanwhile. ``cursor``
    maps (attempt, rank, stream) to the offset of the first byte wanted, 0 where it says nothing; after a
    piece that is ``piece.offset + len(piece.data)``. The bytes of a file come in order, attempts in order,
    other files as they grow. Following ends once, when the task is final and all is yielded; before that,
    also after all that is there, when ``closed`` (asked at least once a second) says so or the logs were
    deleted. Raises FileNotFoundError when there is no folder.
    """
    log = Log(folder, ranks, streams, follow)
    return Reading(log, log.pieces(cursor, closed))


def tail(
    folder: Folder, lines: int, ranks: Optional[Collection[int]] = None, streams: Collection[str] = STREAMS
) -> Dict[Key, int]:
    """The cursor where the last ``lines`` lines of each stream begin; the attempts of a rank count as one."""
    left: Dict[Tuple[int, str], int] = {}

    def begin(key: Key, fd: int, _: Optional[int]) -> int:
        wanted = left.get(key[1:], lines)
        offset, found = _lines_back(fd, os.fstat(fd).st_size, wanted)
        left[key[1:]] = wanted - found
        return offset

    return _cursor(folder, ranks, streams, begin)


def since(
    folder: Folder,
    moment: float,
    ranks: Optional[Collection[int]] = None,
    streams: Collection[str] = STREAMS,
) -> Dict[Key, int]:
    """The cursor of what was written at ``moment`` (epoch seconds) or later, from a line's start on.

    As fine as the index is. Where that says nothing, nothing is left out that may have been written since.
    """

    def begin(_: Key, fd: int, index: Optional[int]) -> int:
        found = os.fstat(fd)
        start = written_since(index, moment)
        if start is None and found.st_mtime < moment:
            return found.st_size
        start = last_offset(index) if start is None else start
        return _lines_back(fd, start + 1, 1)[0] if start < found.st_size else found.st_size

    return _cursor(folder, ranks, streams, begin)


def _cursor(
    folder: Folder,
    ranks: Optional[Collection[int]],
    streams: Collection[str],
    begin: Callable[[Key, int, Optional[int]], int],
) -> Dict[Key, int]:
    """What ``begin`` says of each stream and its index, last attempts first."""
    log, cursor = Log(folder, ranks, streams, follow=False), {}
    try:
        for key in reversed(log.keys()):
            fd, index = log.open(key), log.open(key, ".idx")
            try:
                if fd is not None:
                    cursor[key] = begin(key, fd, index)
            finally:
                close_fd(fd)
                close_fd(index)
    finally:
        log.close()
    return cursor


def _lines_back(fd: int, end: int, lines: int) -> Tuple[int, int]:
    """Where the last ``lines`` lines before ``end`` begin, and how many there are: fewer in a short file."""
    if lines <= 0 or end == 0:
        return end, 0
    found, at = 0, end - 1  # a newline in the last byte ends the last line, and begins none
    while at > 0:
        start = max(0, at - _BACKWARDS)
        block = os.pread(fd, at - start, start)
        hit = block.rfind(b"\n")
        while hit >= 0:
            found += 1
            if found == lines:
                return start + hit + 1, found
            hit = block.rfind(b"\n", 0, hit)
        at = start
    return 0, found + 1


def write_cursor(cursor: Cursor) -> str:
    """A cursor as JSON text: ``{"1.0.stdout": 4096}``, that is attempt, rank, stream and offset."""
    return json.dumps({"%d.%d.%s" % key: offset for key, offset in cursor.items()})


def parse_cursor(text: str) -> Dict[Key, int]:
    """The cursor that ``write_cursor`` wrote. Raises ValueError for anything else."""
    try:
        cursor = {}
        for name, offset in json.loads(text).items():
            attempt, rank, stream = name.split(".")
            cursor[int(attempt), int(rank), str(stream)] = int(offset)
    except (AttributeError, TypeError, ValueError):
        raise ValueError('not a log cursor: %.80s (one is like {"1.0.stdout": 4096})' % text) from None
    return cursor


def write_frames(
    out: BinaryIO,
    folder: Folder,
    cursor: Cursor,
    follow: bool,
    ranks: Optional[Collection[int]] = None,
    streams: Collection[str] = STREAMS,
    closed: Optional[Callable[[], bool]] = None,
) -> None:
    """Write what ``read`` yields as frames: a JSON line and as many bytes as its ``n`` says.

    ``{"beat": SECONDS}`` comes after ten quiet seconds of following, ``{"end": WHY, "report": …}`` last: WHY
    is ``final``, else ``closed`` (no longer followed) or ``now`` (not followed). Raises what ``out.write``
    does when nobody reads any more.
    """
    spoken = [time.monotonic()]

    def send(header: Mapping[str, Any], data: bytes = b"") -> None:
        out.write(json.dumps(header, separators=(",", ":")).encode() + b"\n" + data)
        out.flush()
        spoken[0] = time.monotonic()

    def quiet() -> bool:
        if time.monotonic() - spoken[0] >= _BEAT - 1:
            send({"beat": time.time()})
        return closed is not None and closed()

    pieces = read(folder, cursor, follow, ranks, streams, quiet)
    fd = os.dup(pieces.folder_fd)
    try:
        for a, r, s, o, data, t in pieces:
            send({"a": a, "r": r, "s": s, "o": o, "n": len(data), "t": t}, data)
        send(_end(folder, fd, follow))
    finally:
        pieces.close()
        os.close(fd)


def _end(folder: Folder, fd: int, follow: bool) -> Dict[str, Any]:
    from . import outcome, record

    moved = "/proc/self/fd/%d" % fd  # leads to the folder wherever it is now; there is none outside Linux
    path = moved if isinstance(folder, int) or os.path.isdir(moved) else os.fspath(folder)
    final = record.read_final(path) is not None
    return {"end": "final" if final else "closed" if follow else "now", "report": outcome.report(path)}


def parse_frames(inp: BinaryIO) -> Iterator[Union[Piece, Dict[str, Any]]]:
    """Yield the pieces of a stream of frames, and as they are the headers of beats and of the end.

    A stream that was cut has no end frame; a piece that was cut is not yielded, so a cursor of what was
    yielded resumes. ``inp`` is buffered. Raises ValueError for what is no frame (a greeting of the shell).
    """
    while True:
        line = inp.readline(_HEADER)
        if not line.endswith(b"\n") and len(line) < _HEADER:
            return
        header = _header(line)
        if "n" not in header:
            yield header
            continue
        data = inp.read(header["n"])
        if len(data) < header["n"]:
            return
        yield Piece(header["a"], header["r"], header["s"], header["o"], data, header["t"])


def _header(line: bytes) -> Dict[str, Any]:
    try:
        header = json.loads(line)
        if not isinstance(header, dict) or not 0 <= header.get("n", 0) <= BLOCK:
            raise ValueError
        if "n" in header and not header.keys() >= set("arsot"):
            raise ValueError
    except (ValueError, TypeError):
        raise ValueError("the node answered with something that is no log frame: %.80r" % line) from None
    return header


def main(arguments: Sequence[str]) -> int:
    """Write frames to stdout: ``FOLDER CURSOR_JSON follow|once [--stream S]… [--rank N]… [--tail N]``.

    ``--tail`` (lines) or ``--since`` (epoch seconds) says where streams begin that the cursor does not name.
    Returns the exit code: 0, 1 when nobody reads the frames any more, 66 when there is no such folder.
    """
    import argparse

    parser = argparse.ArgumentParser(prog="read")
    parser.add_argument("folder")
    parser.add_argument("cursor")
    parser.add_argument("how", choices=("follow", "once"))
    parser.add_argument("--stream", action="append", choices=(*STREAMS, "both", "system", "outbox", "none"))
    parser.add_argument("--rank", action="append", type=int)
    parser.add_argument("--tail", type=int)
    parser.add_argument("--since", type=float)
    asked = parser.parse_args(arguments)
    streams = {name for word in asked.stream or ["both"] for name in (STREAMS if word == "both" else [word])}
    streams.discard("none")
    try:
        cursor: Dict[Key, int] = {}
        if asked.tail is not None:
            cursor = tail(asked.folder, asked.tail, asked.rank, streams)
        elif asked.since is not None:
            cursor = since(asked.folder, asked.since, asked.rank, streams)
        cursor.update(parse_cursor(asked.cursor))
        write_frames(sys.stdout.buffer, asked.folder, cursor, asked.how == "follow", asked.rank, streams)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered has nobody to go to
        return 1
    except FileNotFoundError:
        print("flow: there is no task folder %s on this machine" % asked.folder, file=sys.stderr)
        return 66
    return 0
