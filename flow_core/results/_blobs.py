"""Bytes by their content: cut into chunks, each an object ``blobs/<sha256>``, checked when they are read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from flow_core.errors import NotFoundError, StateError

if TYPE_CHECKING:
    from flow_core.faces import ResultStore

CHUNK_BYTES = 64 << 20
"""What is larger is kept in several objects: each is sent, and sent again, by itself."""

_PIECE = 1 << 20
# Seconds; older ones are put again, which makes them young: no sweep takes them before their manifest is written.
_YOUNG = 12 * 3600.0


@attrs.frozen
class Chunk:
    """One object of a store: its name and its ``size`` in bytes."""

    sha256: str
    size: int

    @property
    def key(self) -> str:
        """The object's key."""
        return f"blobs/{self.sha256}"


@attrs.frozen
class Content:
    """Bytes in a store: the sum and size (bytes) of all of them, and the chunks in order."""

    sha256: str
    size: int
    chunks: tuple[Chunk, ...]


def put_blob(store: ResultStore, data: bytes | Path | Iterable[bytes]) -> Content:
    """Keep bytes, or those of a file; what the store has already is not sent again. At most a chunk is in memory."""
    whole, chunks = sha256(), []
    for piece in cut(data):
        whole.update(piece)
        chunks.append(_put(store, piece))
    return Content(whole.hexdigest(), sum(chunk.size for chunk in chunks), tuple(chunks))


def read_blob(store: ResultStore, content: Content, offset: int = 0) -> Iterator[bytes]:
    """Yield the bytes from ``offset`` on, chunk by chunk, each after its sum was found right.

    Raises StateError for a chunk that is damaged or gone.
    """
    for chunk in content.chunks:
        if offset < chunk.size:
            yield _read(store, chunk)[offset:]
        offset = max(0, offset - chunk.size)


def _put(store: ResultStore, data: bytes) -> Chunk:
    chunk = Chunk(sha256(data).hexdigest(), len(data))
    with suppress(NotFoundError):
        found = store.stat(chunk.key)
        if found.size != chunk.size:
            store.delete(chunk.key)  # damaged: it is named by its content
        elif found.modified_at is None or time.time() - found.modified_at < _YOUNG:
            return chunk
    store.put(chunk.key, _pieces(data), chunk.sha256)
    return chunk


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))


def _read(store: ResultStore, chunk: Chunk) -> bytes:
    try:
        data = b"".join(store.get(chunk.key))
    except NotFoundError as error:
        raise StateError(
            f"a part of it is gone from the store {store.name}: {chunk.key}", "run the task again"
        ) from error
    if len(data) != chunk.size or sha256(data).hexdigest() != chunk.sha256:
        raise StateError(f"the store {store.name} has a damaged {chunk.key}", "run the task again")
    return data


def cut(data: bytes | Path | Iterable[bytes]) -> Iterator[bytes]:
    """Yield chunks."""
    if isinstance(data, bytes):
        yield from (data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES))
    elif isinstance(data, Path):
        with data.open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                yield piece
    else:
        yield from _gathered(data)


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= CHUNK_BYTES:
            yield bytes(held[:CHUNK_BYTES])
            del held[:CHUNK_BYTES]
    if held:
        yield bytes(held)
