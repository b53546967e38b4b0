"""What every kind of storage does for the store, and which keys it may be asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Protocol

import attrs

from flow_core import ConfigError, ResultInfo, Ticket

BLOCK = 64 << 20
"""Bytes that one request writes; larger objects are uploaded in parts of this size."""
PIECE = 1 << 20
_LONGEST = 1024


@attrs.frozen
class Reading:
    """An object that is being read: ``pieces`` from where it was asked; ``version`` tells one content from another."""

    pieces: Iterator[bytes]
    sha256: str | None = None
    version: str | None = None


class Objects(Protocol):
    """Objects below one url. Methods raise what their SDK raises; :meth:`fault` says what that means."""

    def stat(self, key: str) -> ResultInfo:
        """Describe one object."""
        ...

    def list(self, prefix: str) -> Iterable[ResultInfo]:
        """Yield the objects whose key begins with ``prefix``."""
        ...

    def read(self, key: str, offset: int, version: str | None) -> Reading:
        """Begin to read at ``offset``; with ``version`` only while the object still is that."""
        ...

    def create(self, key: str, data: Iterator[bytes], sha256: str) -> bool:
        """Store what ``data`` yields unless the key is taken: then False. Nothing is left when ``data`` raises."""
        ...

    def renew(self, key: str, sha256: str) -> None:
        """Have an object be as young as if it were new."""
        ...

    def delete(self, key: str) -> bool:
        """Delete one object; True when it was there."""
        ...

    def ticket(self, key: str, method: str, size: int | None, expires_in: float) -> Ticket:
        """Sign leave to move one object, or to create any below a key that ends in ``/``. No network."""
        ...

    def fault(self, error: Exception, what: str) -> Exception | None:
        """Return the FlowError that an exception of the SDK means; None when it is none of the SDK's."""
        ...


def check_key(key: str, prefix: str = "") -> None:
    """Refuse a key that no storage could keep as it is. Raises ConfigError."""
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\x00-\x1f\x7f\\]", key):
        raise ConfigError(
            f"{key!r} cannot be a key of a result store", "keys are relative paths: no empty parts, `.`, `..`, `\\`"
        )
    if len(f"{prefix}{key}".encode()) > _LONGEST:
        raise ConfigError(f"the key {key[:40]}… is too long", f"at most {_LONGEST} bytes with the prefix of the store")


def blocks(data: Iterator[bytes], size: int) -> Iterator[bytearray]:
    """Yield the bytes of ``data`` in blocks of ``size``; the last may be shorter; without data one empty block."""
    block = bytearray()
    for piece in data:
        view = memoryview(piece)
        while view:
            if len(block) == size:
                yield block
                block = bytearray()
            room = size - len(block)
            block += view[:room]
            view = view[room:]
    yield block
