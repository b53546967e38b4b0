"""One question a second to the controller, however many tasks and commands of this machine want an answer."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import attrs

from flow_core import TransientError
from flow_core.settings import make_folder

T = TypeVar("T")
_LONGEST = 30.0  # seconds between two questions while nobody answers


@attrs.frozen
class _Kept:
    """What was answered at ``at`` (UTC seconds), or how often in a row nobody answered, and why."""

    at: float = 0.0
    answer: str | None = None
    failures: int = 0
    error: str = ""


class Poll(Generic[T]):
    """An answer that all processes of this user on this machine share, in the file ``path``; ``read`` understands it."""

    def __init__(self, path: Path, ask: Callable[[], str], read: Callable[[str], T], every: float = 1.0) -> None:
        self._path, self._ask, self._understood, self._every = path, ask, read, every
        self._last: tuple[float, T] | None = None

    def answer(self, since: float | None = None) -> tuple[float, T]:
        """Return (when it was asked, answer); not older than ``every`` seconds, or asked at ``since`` or later.

        Raises TransientError when nobody answers; then it is asked ever more seldom, unless ``since`` is given.
        """
        last = self._last
        if last is None or not self._is_good(last[0], since):
            at, text = self._shared(since)
            self._last = last = (at, self._understood(text))
        return last

    def _shared(self, since: float | None) -> tuple[float, str]:
        with self._locked():
            kept = self._read()
            if kept.answer is not None and self._is_good(kept.at, since):
                return kept.at, kept.answer
            self._wait(kept, since)
            return self._renew(kept)

    def _is_good(self, at: float, since: float | None) -> bool:
        now = time.time()
        return at <= now and (at >= since if since is not None else now - at < self._every)

    def _wait(self, kept: _Kept, since: float | None) -> None:
        refusing = kept.failures > 0 and since is None
        pause = min(self._every * 2.0**kept.failures, _LONGEST) if refusing else min(self._every, 1.0)
        left = min(kept.at + pause - time.time(), pause)
        if refusing and left > 0:
            raise TransientError(kept.error, "see `flow doctor`", retry_after=left)
        time.sleep(max(0.0, left))

    def _renew(self, kept: _Kept) -> tuple[float, str]:
        at = time.time()
        try:
            answer = self._ask()
        except TransientError as error:
            self._write(_Kept(time.time(), None, min(kept.failures + 1, 10), error.message))
            raise
        self._write(_Kept(at, answer))
        return at, answer

    def _read(self) -> _Kept:
        try:
            return _Kept(**json.loads(self._path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return _Kept()

    def _write(self, kept: _Kept) -> None:
        new = self._path.with_suffix(f".{os.getpid()}")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            json.dump(attrs.asdict(kept), file)
        new.rename(self._path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_folder(self._path.parent)
        fd = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)
