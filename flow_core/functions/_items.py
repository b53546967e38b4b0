"""The items of a map: numbered, as bytes, with what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import attrs

from flow_core.errors import ConfigError
from flow_core.functions.node import envelope

Told = tuple[envelope.Header, list[memoryview]]
"""What a worker said: the header and the parts of an envelope, checked."""


@attrs.define(eq=False)
class Item:
    """One item that is not done: ``data`` is what a worker reads; ``tries`` counts what has failed."""

    number: int
    digest: str
    data: bytes
    tries: int = 0


def numbered(items: Iterable[Any], many: bool) -> Iterator[Item]:
    """Yield the items of an iterable as they are asked for; ``many``: each is a sequence of arguments."""
    for number, value in enumerate(items):
        yield _pack(number, list(value) if many else [value])


def _pack(number: int, arguments: Sequence[Any]) -> Item:
    try:
        body = envelope.encode(arguments)
    except envelope.UnpicklableError as error:
        raise ConfigError(f"item {number} cannot be sent: {error}", "send plain data, or a path") from error
    digest = sha256(b"".join(sha256(part).digest() for part in body.parts)).hexdigest()[:32]
    return Item(number, digest, envelope.pack({"kind": "item", "item": number, "digest": digest}, body))


class Frames:
    """Envelopes out of a stream that comes in pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = self._wanted = 0

    def feed(self, data: bytes) -> Iterator[Told]:
        """Yield what is whole now, checked. Raises DamagedError."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size < self._wanted:  # a large one: it is put together once
            return
        view = memoryview(bytearray().join(self._pieces))
        at = wanted = 0
        while (wanted := envelope.whole_size(view[at:])) and at + wanted <= len(view):
            yield envelope.open_parts(view[at : at + wanted])
            at += wanted
        self._pieces, self._size, self._wanted = [bytes(view[at:])], len(view) - at, wanted
