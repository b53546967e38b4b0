"""Accept a task by making its folder: whole under another name, then one rename."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from flow_core.errors import ConfigError, StateError

if TYPE_CHECKING:
    from flow_core.types import Bundle, Submission

BUNDLE = "bundle.json"
_SWEEP_SECONDS = 60.0
_NO_ENV: Mapping[str, str] = MappingProxyType({})
_NO_FILES: Mapping[str, bytes] = MappingProxyType({})
# What flock gives on a file system that has no locks; the rename is atomic there too.
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL})


def stage(
    root: Path,
    submission: Submission,
    env: Mapping[str, str] = _NO_ENV,
    prefix: Sequence[str] = (),
    files: Mapping[str, bytes] = _NO_FILES,
) -> Path:
    """Make the task's folder ``root/<request_id>`` with everything in it and return it.

    A second call with the same request, also at the same time from another process, changes nothing and returns the
    same folder. ``env`` is the provider's own addition to the environment; the task's own variables win. ``prefix`` are
    words put before the task's command (``("nice", "-n", "10")``); ``files`` are the provider's own beside the bundle,
    by their names, executable. What killed processes had begun is removed, of other requests within a minute.
    Raises StateError where it cannot be written.
    """
    folder = root / submission.request_id
    if folder.is_dir():
        return folder
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _claimed(folder) as claim:
            if claim is not None:
                _make(folder, claim, _completed(submission.bundle, env, prefix), files)
        _sweep_now_and_then(root)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StateError(
            f"cannot make the task's folder in {root}: {reason}", "free some space or choose another folder"
        ) from error
    return folder


def sweep(root: Path) -> list[str]:
    """Remove what killed processes had begun to stage in ``root``; return the request ids."""
    found = sorted(entry.stem[1:] for entry in root.glob(".*.new"))
    return [request_id for request_id in found if _sweep(root / request_id)]


def _sweep_now_and_then(root: Path) -> None:
    """What was begun holds code and secrets: it must go though nobody asks for that request again."""
    stamp = root / ".swept"
    try:
        due = time.time() - stamp.stat().st_mtime > _SWEEP_SECONDS
    except FileNotFoundError:
        due = True
    if due:
        stamp.touch(0o600)
        sweep(root)


def _sweep(folder: Path) -> bool:
    new = _unfinished(folder)
    try:
        fd = _lock(new / BUNDLE, wait=False)
    except OSError:  # somebody is at it, or has just been
        return False
    if fd is None:
        return False
    _remove(new)
    os.close(fd)
    return True


def _unfinished(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.new")


@contextmanager
def _claimed(folder: Path) -> Iterator[int | None]:
    """Be the only process that stages this folder, beside it and anew; None when it stands there by now.

    The claim is the lock of its ``bundle.json``, whose descriptor is yielded: a dead process's claim ends with it, and
    no file of its own has to be made and removed for it.
    """
    fd = _claim(folder)
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def _claim(folder: Path) -> int | None:
    new = _unfinished(folder)
    while not folder.is_dir():
        fresh = _mkdir(new)
        with suppress(FileNotFoundError):  # somebody has swept it just now
            fd = _lock(new / BUNDLE)
            if fd is not None and not fresh:
                _empty(new)
                os.ftruncate(fd, 0)
            if fd is not None:
                return fd
    return None


def _mkdir(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700)
        return True
    except FileExistsError:
        return False


def _lock(path: Path, wait: bool = True) -> int | None:
    """Open and lock a file; None when it was put in place or swept away meanwhile: a lock on that one is no claim."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _flock(fd, wait)
        if _same_file(path, fd):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _flock(fd: int, wait: bool) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _same_file(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _make(folder: Path, fd: int, bundle: Bundle, files: Mapping[str, bytes] = _NO_FILES) -> None:
    new = _unfinished(folder)
    try:
        _fill(new, bundle)
        for name, data in files.items():
            _write(new / name, data, 0o700)
        _write_all(fd, json.dumps(bundle.document).encode())
        _accept(new, folder)
    except BaseException:
        _remove(new)
        raise


def _empty(folder: Path) -> None:
    """Remove all but the claim, which keeps others away until nothing else is left."""
    from shutil import rmtree

    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            rmtree(entry, ignore_errors=True)
        elif entry.name != BUNDLE:
            entry.unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    with suppress(OSError):
        _empty(folder)
        (folder / BUNDLE).unlink(missing_ok=True)
        folder.rmdir()


def _accept(new: Path, folder: Path) -> None:
    try:
        new.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        _remove(new)


def _fill(folder: Path, bundle: Bundle) -> None:
    if bundle.code is not None:
        from flow_core.bundle import copy_files

        copy_files(Path(bundle.code), bundle.code_files, folder / "code", folder.parent / ".blobs")
    for name, data in bundle.files.items():
        path = folder / "files" / _inside(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, data, 0o700)
    if bundle.secrets.values:
        _write(folder / "secrets", json.dumps(dict(bundle.secrets.values)).encode())


def _completed(bundle: Bundle, env: Mapping[str, str], prefix: Sequence[str]) -> Bundle:
    """Return the bundle with what the provider adds to the task's environment and command."""
    document: dict[str, Any] = dict(bundle.document)
    document["env"] = {**env, **document.get("env", {})}
    if prefix:
        command = document["command"]
        words = command["argv"] if "argv" in command else ["/bin/sh", "-c", command["shell"]]
        document["command"] = {"argv": [*prefix, *words]}
    return attrs.evolve(bundle, document=document)


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ConfigError(f"{name!r} is not a path inside the task's folder", "use a relative path without '..'")
    return path


def _write(path: Path, data: bytes, mode: int = 0o600) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(data)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
