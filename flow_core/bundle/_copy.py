"""Copy a selection, sharing blocks with the originals where the file system can, and hash it."""

from __future__ import annotations

import errno
import fcntl
import os
from hashlib import sha256
from stat import S_IMODE, S_ISLNK
from typing import TYPE_CHECKING

from flow_core.bundle._blobs import Blobs
from flow_core.bundle._progress import Meter
from flow_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from flow_core.bundle._select import Selection

_FICLONE = 0x40049409  # linux/fs.h; Btrfs, XFS, bcachefs, overlay of these
_CHUNK, _PIECE = 1 << 20, 64 << 20
_UNSHARED = frozenset(
    {errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EBADF, errno.EPERM, errno.EISDIR}
)


def copy(selection: Selection, target: Path, blobs: Path | None = None) -> tuple[str, ...]:
    """Copy the selected files to the folder ``target``, made when missing; return those that had vanished meanwhile.

    Modes, modification times and holes are kept, links stay links. The copies share blocks where the file system can,
    and never the file itself: what the user edits later does not change under the task. ``blobs`` is a folder beside
    ``target`` that remembers contents of another file system, so that two copies share theirs. Raises ConfigError for a
    file that cannot be read, OSError when ``target`` cannot be written.
    """
    return copy_files(selection.root, selection.files, target, blobs)


def copy_files(root: Path, files: Sequence[str], target: Path, blobs: Path | None = None) -> tuple[str, ...]:
    """Copy ``files``, relative to ``root``, as :func:`copy` does."""
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    made, meter = {""}, Meter(len(files))
    kept = None if blobs is None else Blobs(blobs, _share)
    try:
        return tuple(path for path in files if not _copy(root, path, target, made, meter, kept))
    finally:
        if kept is not None:
            kept.close()


def _copy(root: Path, path: str, target: Path, made: set[str], meter: Meter, blobs: Blobs | None) -> bool:
    source, copied = f"{root}/{path}", f"{target}/{path}"
    above = path.rpartition("/")[0]
    if above not in made:
        os.makedirs(f"{target}/{above}", exist_ok=True)
        made.add(above)
    try:
        found = os.lstat(source)
        if S_ISLNK(found.st_mode):
            os.symlink(os.readlink(source), copied)
        else:
            _copy_file(source, copied, meter, blobs)
    except FileNotFoundError:
        return False
    os.utime(copied, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)
    meter.add(0)
    return True


def _copy_file(source: str, copied: str, meter: Meter, blobs: Blobs | None) -> None:
    reading = _open(source)
    try:
        found = os.fstat(reading)
        writing = os.open(copied, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if not _share(reading, writing) and not (blobs is not None and blobs.give(reading, writing)):
                _move(reading, writing, found, meter)
            os.fchmod(writing, S_IMODE(found.st_mode) & 0o777)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _open(path: str) -> int:
    try:
        # A pipe that took the file's place must not stop us, nor a link lead us away.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}", "mend its permissions, or leave it out with `exclude`"
        ) from error


def _share(reading: int, writing: int) -> bool:
    try:
        fcntl.ioctl(writing, _FICLONE, reading)
        return True
    except OSError as error:
        if error.errno not in _UNSHARED:
            raise
        return False


def _move(reading: int, writing: int, found: os.stat_result, meter: Meter) -> None:
    if found.st_blocks * 512 < found.st_size:
        for start, end in _filled(reading, found.st_size):
            os.lseek(reading, start, os.SEEK_SET)
            os.lseek(writing, start, os.SEEK_SET)
            _move_bytes(reading, writing, end - start, meter)
        os.ftruncate(writing, found.st_size)
        os.lseek(reading, found.st_size, os.SEEK_SET)
        os.lseek(writing, found.st_size, os.SEEK_SET)
    else:
        _move_bytes(reading, writing, found.st_size, meter)
    # Goes on where the kernel stopped; special file systems say "end" at once and still have bytes to read.
    while data := os.read(reading, _CHUNK):
        _write_all(writing, data)
        meter.add(len(data), 0)


def _filled(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where there are no holes."""
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:  # nothing but a hole is left
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end


def _move_bytes(reading: int, writing: int, size: int, meter: Meter) -> None:
    try:
        while size > 0 and hasattr(os, "copy_file_range"):
            moved = os.copy_file_range(reading, writing, min(size, _PIECE))
            if not moved:
                return
            size -= moved
            meter.add(moved, 0)
    except OSError as error:
        if error.errno not in _UNSHARED:
            raise
    while size > 0 and (data := os.read(reading, min(size, _CHUNK))):
        _write_all(writing, data)
        size -= len(data)
        meter.add(len(data), 0)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def content_hash(selection: Selection) -> str:
    """Return the SHA-256 (hex) of names, executable bits, link targets and contents: equal for equal code.

    Times, owners and the place of the folder do not count. Raises ConfigError for a file that cannot be read.
    """
    whole = sha256()
    for path in selection.files:
        kind, digest = _digest(f"{selection.root}/{path}")
        if kind:
            whole.update(f"{kind} {digest} ".encode() + os.fsencode(path) + b"\0")
    return whole.hexdigest()


def _digest(path: str) -> tuple[str, str]:
    try:
        found = os.lstat(path)
        if S_ISLNK(found.st_mode):
            return "l", sha256(os.fsencode(os.readlink(path))).hexdigest()
        return ("x" if found.st_mode & 0o100 else "f"), _file_digest(path)
    except FileNotFoundError:
        return "", ""


def _file_digest(path: str) -> str:
    own = sha256()
    with open(_open(path), "rb", buffering=0) as file:
        while data := file.read(_CHUNK):
            own.update(data)
    return own.hexdigest()
