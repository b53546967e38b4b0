"""The result store: checked keys, checked sums, and the errors that Flow knows."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar, final

from flow_core import (
    CapabilityError,
    ConfigError,
    ConflictError,
    FlowError,
    ResultInfo,
    StateError,
    Ticket,
    TransientError,
    hookimpl,
)
from flow_core.hookspecs import ResultHooks
from flow_fsspec._objects import Reading, check_key
from flow_fsspec._open import open_objects
from flow_fsspec._settings import FsspecSettings

T = TypeVar("T")
_RESUMES = 4


@final
class FsspecStore(ResultHooks):
    """The entry point ``flow.result_stores: fsspec`` names this class."""

    Settings = FsspecSettings

    def __init__(self, settings: FsspecSettings) -> None:
        self._objects = open_objects(settings)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Raise what an exception of the SDK means in its place, without its text."""
        try:
            yield
        except FlowError:
            raise
        except Exception as error:
            fault = self._objects.fault(error, what)
            if fault is None:
                raise
            raise fault from None

    def _each(self, items: Iterable[T], what: str) -> Iterator[T]:
        with self._told(what):
            yield from items

    @hookimpl
    def flow_result_stat(self, key: str) -> ResultInfo:
        check_key(key)
        with self._told(f"find {key}"):
            return self._objects.stat(key)

    @hookimpl
    def flow_result_list(self, prefix: str) -> Iterator[ResultInfo]:
        return self._each(self._objects.list(prefix), f"list {prefix or 'the store'}")

    @hookimpl
    def flow_result_get(self, key: str, offset: int) -> Iterator[bytes]:
        check_key(key)
        reading = self._begin(key, offset, None)
        return self._pieces(key, offset, reading)

    def _begin(self, key: str, offset: int, version: str | None) -> Reading:
        with self._told(f"read {key}"):
            return self._objects.read(key, offset, version)

    def _pieces(self, key: str, offset: int, reading: Reading) -> Iterator[bytes]:
        """Read to the end, going on where a connection broke off; what was read whole must have the sum it was put with."""
        noted, version = reading.sha256, reading.version
        digest = hashlib.sha256() if offset == 0 and noted else None
        resumes = 0
        while True:
            try:
                for piece in self._each(reading.pieces, f"read {key}"):
                    offset, resumes = offset + len(piece), 0
                    if digest:
                        digest.update(piece)
                    yield piece
                break
            except TransientError:
                if version is None or resumes > _RESUMES:
                    raise
                reading, resumes = self._resumed(key, offset, version, resumes)
        if digest and digest.hexdigest() != noted:
            raise StateError(
                f"{key} is damaged: its content does not have the sum it was stored with", "run the task again"
            )

    def _resumed(self, key: str, offset: int, version: str, resumes: int) -> tuple[Reading, int]:
        """Begin again at ``offset``; ``resumes`` counts the tries since the last byte."""
        while True:
            time.sleep(0.2 * 2**resumes if resumes else 0.0)
            resumes += 1
            try:
                return self._begin(key, offset, version), resumes
            except TransientError:
                if resumes > _RESUMES:
                    raise

    @hookimpl
    def flow_result_put(self, key: str, data: Iterator[bytes], sha256: str) -> ResultInfo:
        check_key(key)
        source = _Source(key, data, sha256)
        with self._told(f"store {key}"):
            created = self._objects.create(key, iter(source), sha256)
        if created:
            return ResultInfo(key, source.size, sha256, time.time())
        there = self.flow_result_stat(key)
        if (there.sha256 or self._sum(key)) != sha256:
            raise ConflictError(f"the store has other content under {key}", "delete it first, or use another key")
        with self._told(f"store {key}"):
            self._objects.renew(key, sha256)
        return there

    def _sum(self, key: str) -> str:
        digest = hashlib.sha256()
        for piece in self.flow_result_get(key, 0):
            digest.update(piece)
        return digest.hexdigest()

    @hookimpl
    def flow_result_delete(self, key: str) -> bool:
        check_key(key)
        with self._told(f"delete {key}"):
            return self._objects.delete(key)

    @hookimpl
    def flow_result_ticket(self, key: str, method: str, size: int | None, expires_in: float) -> Ticket:
        check_key(key.removesuffix("/"))
        if method not in ("PUT", "GET") or (method == "GET" and key.endswith("/")):
            raise CapabilityError(
                f"there are no tickets to {method} {key}", "PUT or GET one object, or PUT below a prefix"
            )
        if expires_in <= 0:
            raise ConfigError("a ticket must hold for some time", "give a positive number of seconds")
        with self._told(f"sign a ticket for {key}"):
            return self._objects.ticket(key, method, size, expires_in)


class _Source:
    """Bytes to store. Breaks off at their end when they do not have the sum they should, so that nothing is kept."""

    def __init__(self, key: str, data: Iterator[bytes], sha256: str) -> None:
        self._key, self._data, self._sha256 = key, data, sha256
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for piece in self._data:
            digest.update(piece)
            self.size += len(piece)
            yield piece
        if digest.hexdigest() != self._sha256:
            raise TransientError(
                f"{self._key} arrived damaged: its content does not have the sum {self._sha256}", "try again"
            )
