"""Bind mounts for one process: what a task sees under its targets, and nobody else on the machine does.

The process gets a mount namespace of its own; without privileges inside a user namespace that maps its uid
and gid to themselves. A target that is not there is not made on the host: the nearest folder that is there
is covered by a tmpfs with the folder's own entries (bound, so they are the real ones) and the missing one.
A cover is read-only, so that a file the task makes there is refused and not lost with the namespace; only
folders for everybody's temporary files (world-writable and sticky, as ``/tmp``) stay writable.
"""

import contextlib
import errno
import os
import stat
import sys
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from . import encrypted
from .mounttable import MountError, bind, cover, isolate, make_read_only, mounts_below

__all__ = ["MountError", "enter", "possible"]

_NO_KEYS: Mapping[str, str] = {}
_TEMPORARY = stat.S_ISVTX | stat.S_IWOTH
_O_PATH = getattr(os, "O_PATH", 0) | os.O_CLOEXEC


class _Mount(NamedTuple):
    source: str
    target: str
    read_only: bool
    fd: int  # of the source, opened before anything covers it


def enter(mounts: Sequence[Mapping[str, Any]], keys: Mapping[str, str] = _NO_KEYS) -> None:
    """Move this process into a mount namespace where each source stands at its target.

    Each mount has ``source`` (an absolute path of a folder or file), ``target`` (absolute) and ``read_only``
    (with all that is mounted below it); one with ``cipher`` is shown in the clear at its source first, opened with the
    one of ``keys`` that its ``key`` names. For a single-threaded process that is about to exec: it cannot be
    undone. The uid, the gid and the working directory stay. Nothing happens without mounts. Raises
    MountError, after which the process is only good for ending.
    """
    if not mounts:
        return
    cwd = _cwd()
    waiting = [encrypted.prepare(mount, _key(mount, keys)) for mount in mounts if "cipher" in mount]
    isolate()
    for one in waiting:
        encrypted.show(one)
    here, covers = os.open(".", _O_PATH), _Covers()
    for mount in sorted(map(_open, mounts), key=lambda mount: mount.target.count("/")):
        try:
            _bind_at(mount, covers)
        except MountError:
            raise
        except OSError as error:
            raise MountError(_explain(mount, error)) from error
        os.close(mount.fd)
    covers.close()
    _return_to(cwd, here)


def _key(mount: Mapping[str, Any], keys: Mapping[str, str]) -> str:
    try:
        return keys[str(mount["key"])]
    except KeyError:
        raise MountError("the key of the encrypted volume for %s was not delivered" % mount["target"]) from None


def possible() -> Optional[str]:
    """None when ``enter`` works for this user on this machine, else why not and what to do about it.

    Tried in a child process; this one stays as it is.
    """
    if not sys.platform.startswith("linux"):
        return "bind mounts for one task need Linux: use the paths of this machine, or an image"
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            isolate()
        except MountError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        reason = pipe.read().decode()
    os.waitpid(child, 0)
    return reason or None


def _cwd() -> Optional[str]:
    try:
        return os.getcwd()
    except OSError:  # it was removed; the process keeps it all the same
        return None


def _return_to(cwd: Optional[str], here: int) -> None:
    """Find the working directory again by its name: it may be a target now, or below a cover."""
    try:
        os.fchdir(here)
        if cwd is not None:
            with contextlib.suppress(PermissionError):  # entered with rights that were given up since
                os.chdir(cwd)
    except OSError as error:
        raise MountError(
            "the working directory %s is hidden by the mounts (%s): choose other targets, or mount it too"
            % (cwd, error.strerror)
        ) from error
    finally:
        os.close(here)


def _open(mount: Mapping[str, Any]) -> _Mount:
    source, target = str(mount["source"]), str(mount["target"])
    if not os.path.isabs(source) or not os.path.isabs(target) or ".." in target.split("/"):
        raise MountError("mount %s -> %s: both must be absolute paths without '..'" % (source, target))
    top = os.path.realpath(target).split("/")[1]
    if top in ("", "proc", "sys"):
        raise MountError("mount target %s would hide the system: choose another, such as /mnt/data" % target)
    try:
        fd = os.open(source, _O_PATH)
    except OSError as error:
        words = (source, target, error.strerror)
        raise MountError("mount source %s for %s cannot be opened (%s): make it, or mend the path" % words) from error
    return _Mount(source, os.path.realpath(target), bool(mount.get("read_only")), fd)


def _bind_at(mount: _Mount, covers: "_Covers") -> None:
    is_dir = stat.S_ISDIR(os.fstat(mount.fd).st_mode)
    target = os.path.realpath(mount.target)
    covers.provide(target, is_dir)
    if os.path.isdir(target) != is_dir:
        kinds = ("folder", "file") if is_dir else ("file", "folder")
        raise MountError("mount %s -> %s: the source is a %s, the target a %s" % (mount[:2] + kinds))
    bind(_through(mount.fd), target)
    covers.mounted[target] = not mount.read_only
    if mount.read_only:
        for place in mounts_below(target):
            make_read_only(place)


class _Covers:
    """The folders that stand in for those of the host, where missing targets can be made."""

    def __init__(self) -> None:
        self.mounted: Dict[str, bool] = {}  # target -> whether folders may be made in its source
        self._devices: Dict[int, str] = {}  # of the covers
        self._read_only: List[str] = []

    def provide(self, target: str, is_dir: bool) -> None:
        """Have a folder or file at ``target`` to mount on."""
        folder = _nearest(target)
        if folder == target:
            return
        if os.stat(folder).st_dev not in self._devices and not self._is_ours(folder):
            self._cover(folder)
        os.makedirs(target if is_dir else os.path.dirname(target), exist_ok=True)
        if not is_dir:
            _touch(target)

    def _is_ours(self, folder: str) -> bool:
        above = [target for target in self.mounted if (folder + "/").startswith(target + "/")]
        return bool(above) and self.mounted[max(above, key=len)]

    def _cover(self, folder: str) -> None:
        """Mount a tmpfs over ``folder`` with the same entries in it."""
        old = os.open(folder, _O_PATH | os.O_DIRECTORY)
        found = os.fstat(old)
        with os.scandir(_through(old)) as listing:
            entries = list(listing)
        cover(folder, stat.S_IMODE(found.st_mode))
        # A process does not see what is mounted over its own root; the way up from there leads to it.
        new = os.open("/.." if folder == "/" else folder, _O_PATH | os.O_DIRECTORY)
        for entry in entries:
            _repeat(entry, os.path.join(_through(new), entry.name))
        with contextlib.suppress(OSError):  # an owner whom the user namespace does not know
            os.chown(_through(new), found.st_uid, found.st_gid)
        if folder == "/":
            os.fchdir(new)
            os.chroot(".")
        self._devices[os.fstat(new).st_dev] = folder
        if found.st_mode & _TEMPORARY != _TEMPORARY:
            self._read_only.append(folder)
        os.close(old)
        os.close(new)

    def close(self) -> None:
        """Refuse what would be written into the covers and lost."""
        for folder in self._read_only:
            make_read_only(folder)


def _repeat(entry: "os.DirEntry[str]", target: str) -> None:
    """Have an entry of a covered folder in its cover too; one that goes away meanwhile is left out."""
    if entry.is_symlink():
        with contextlib.suppress(FileNotFoundError):
            os.symlink(os.readlink(entry.path), target)
        return
    is_dir = entry.is_dir(follow_symlinks=False)
    os.mkdir(target) if is_dir else _touch(target)
    try:
        bind(entry.path, target)
    except FileNotFoundError:
        os.rmdir(target) if is_dir else os.unlink(target)


def _nearest(path: str) -> str:
    """The path itself if it is there, else the nearest folder above it that is."""
    while True:
        try:
            os.stat(path)
            return path
        except FileNotFoundError:
            path = os.path.dirname(path)


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _through(fd: int) -> str:
    return "/proc/self/fd/%d" % fd


_HINTS = {
    errno.EACCES: "choose a target below a folder that you may list and enter",
    errno.EPERM: "choose a target below a folder that you may list and enter",
    errno.ENOTDIR: "a part of the target's path is a file; choose another target",
    errno.ENOSPC: "too many mounts (sysctl fs.mount-max); make the target's folder beforehand",
}


def _explain(mount: _Mount, error: OSError) -> str:
    hint = _HINTS.get(error.errno or 0, "make the target beforehand, or choose another")
    return "mount %s -> %s failed (%s): %s" % (mount.source, mount.target, error.strerror, hint)
