"""Files that only their owner reads: 0600 in 0700 folders, replaced whole, one writer at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flow_core.errors import StateError

_ELSEWHERE = "make it writable, or set FLOW_HOME to a folder of your own"


def make_folder(folder: Path) -> Path:
    """Make ``folder`` and the parents it lacks, 0700, and return it; one that is there is left as it is.

    Raises :class:`StateError` where a file is in the way or nothing may be written.
    """
    for part in reversed([folder, *folder.parents]):
        try:
            part.mkdir(mode=0o700, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise StateError(f"{part} is a file where Flow needs a folder", "move it away, or set FLOW_HOME") from error
        except OSError as error:
            if not part.is_dir():
                raise StateError(f"cannot make the folder {part}: {error.strerror}", _ELSEWHERE) from error
    return folder


def write_private(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``, 0600, by rename: a reader sees the old or the new whole. Follows a link to its file.

    Raises :class:`StateError` when it cannot.
    """
    from tempfile import mkstemp

    target = path.resolve()
    make_folder(target.parent)
    try:
        handle, fresh = mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mkstemp makes it 0600
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}", _ELSEWHERE) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(fresh).replace(target)
    except OSError as error:
        with suppress(OSError):
            Path(fresh).unlink()
        raise StateError(f"cannot write {path}: {error.strerror}", _ELSEWHERE) from error


@contextmanager
def locked(path: Path, seconds: float = 10.0) -> Iterator[None]:
    """Hold the one right to change ``path`` on this machine, through ``<path>.lock``.

    Raises :class:`StateError` when another process has it for ``seconds``.
    """
    from filelock import FileLock, Timeout

    make_folder(path.parent)
    lock = FileLock(f"{path}.lock", timeout=seconds, mode=0o600)
    try:
        lock.acquire()
    except Timeout as error:
        raise StateError(
            f"another process has been changing {path} for {seconds:g} s", "wait for it, or end it"
        ) from error
    except OSError as error:
        raise StateError(f"cannot lock {path}: {error.strerror}", _ELSEWHERE) from error
    try:
        yield
    finally:
        lock.release()
