"""Who works on an unfinished submission: a file that its process keeps locked, which the kernel frees on any death."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Owner:
    """This process's lock file in ``folder``, made when first asked for, with those of the dead swept away.

    A forked child is another owner.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = ""
        self._descriptor = -1

    @property
    def name(self) -> str:
        """The lock file's name; the lock is held when this returns."""
        if not self._name:
            sweep(self._folder)
        while not self._name:
            self._take(f"{os.getpid()}-{os.urandom(6).hex()}")
        return self._name

    def _take(self, name: str) -> None:
        import fcntl

        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / name
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Between open and flock it looked like a dead owner's: another process may have removed it.
        if _same_file(descriptor, path):
            self._name, self._descriptor = name, descriptor
        else:
            os.close(descriptor)

    def release(self) -> None:
        """Give up what this owner holds: others may take it over."""
        if self._name:
            with suppress(OSError):
                (self._folder / self._name).unlink()
        self.forget()

    def forget(self) -> None:
        """Close the lock file, as a forked child must: else the parent would seem to live for as long as the child."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._name, self._descriptor = "", -1


def is_alive(folder: Path, name: str) -> bool:
    """Say whether the owner ``name`` still holds its lock."""
    with _probe(folder / name) as dead:
        return not dead


def sweep(folder: Path) -> None:
    """Remove the lock files of the dead."""
    for path in folder.iterdir() if folder.is_dir() else ():
        with _probe(path) as dead:
            if dead:
                path.unlink(missing_ok=True)


@contextmanager
def _probe(path: Path) -> Iterator[bool]:
    """Yield whether nobody holds ``path``; shared, so that two who ask do not take each other for the owner."""
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        yield _locked(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, how: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    return True


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
