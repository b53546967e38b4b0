"""Copying a task's bytes to where a person or a program reads them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from flow_core.secrets import RedactedStream, Redactor
    from flow_core.types import LogChunk


def copy(chunks: Iterable[LogChunk], out: BinaryIO, err: BinaryIO, redactor: Redactor | None = None) -> None:
    """Write each chunk where it belongs and flush it, secrets masked; stderr chunks to ``err``, all others to ``out``."""
    streams: dict[tuple[int, int, str], tuple[RedactedStream, BinaryIO]] = {}
    for chunk in chunks:
        target = err if chunk.stream == "stderr" else out
        data = chunk.data
        if redactor:
            place = (chunk.attempt, chunk.rank, chunk.stream)
            if place not in streams:
                streams[place] = (redactor.stream(), target)
            data = streams[place][0].feed(data)
        target.write(data)
        target.flush()
    for stream, target in streams.values():
        target.write(stream.flush())
        target.flush()


def write_file(target: Path, pieces: Iterable[bytes]) -> int:
    """Write ``pieces`` to ``target``, whole or not at all, and return their size in bytes."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            size = sum(file.write(piece) for piece in pieces)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return size


def standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return this process's stdout and stderr as byte streams, also where they are a notebook's text streams."""
    return _bytes_of(sys.stdout), _bytes_of(sys.stderr)


def _bytes_of(stream: object) -> BinaryIO:
    return cast("BinaryIO", getattr(stream, "buffer", None) or _TextSink(stream))


class _TextSink(io.RawIOBase):
    """Bytes into a text stream; what is not UTF-8 is shown as replacement characters."""

    def __init__(self, text: object) -> None:
        import codecs

        self._text = text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        raw = bytes(cast("bytes", data))
        if self._text is not None:  # None: a program without a console
            self._text.write(self._decoder.decode(raw))  # type: ignore[attr-defined]
        return len(raw)

    def flush(self) -> None:
        if self._text is not None:
            self._text.flush()  # type: ignore[attr-defined]
