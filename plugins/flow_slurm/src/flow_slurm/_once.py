"""A job is asked for once: the files of a task's folder keep the record, whichever process writes them."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flow_core import StateError, TransientError

_PATIENCE = 20.0  # seconds for another command that is submitting the same


def once(folder: str, ask: Callable[[int], str]) -> str | None:
    """Return the job of a task's ``folder``: what is in its file ``job``, else the answer of ``ask``, written there.

    ``ask`` gets the descriptor of the lock, for a program that shall go on holding it when this one is killed. None: it
    was asked before and nobody saw the answer. Raises StateError, TransientError when another command is at it.
    """
    place = Path(folder)
    try:
        with _held(place / ".submit") as lock:
            if known := _read(place / "job"):
                return known
            try:
                (place / "called").touch(0o600, exist_ok=False)
            except FileExistsError:
                return None
            job = ask(lock)
            (place / ".job").write_text(f"{job}\n", encoding="ascii")
            (place / ".job").replace(place / "job")
            return job
    except OSError as error:
        text = f"cannot write in {folder}: {error.strerror or error}"
        raise StateError(text, "free some space or choose another root") from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip().partition(";")[0]
    except FileNotFoundError:
        return ""


@contextmanager
def _held(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(fd)
        yield fd
    finally:
        os.close(fd)


def _lock(fd: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TransientError("another command is still submitting this task", "see `flow status`") from None
            time.sleep(0.1)
