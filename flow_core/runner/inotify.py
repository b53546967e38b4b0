"""Wake when files change: inotify where the kernel has it, a poll where it cannot serve."""

import errno
import os
import select
import stat
import struct
import sys
import time
from types import TracebackType
from typing import Any, Dict, FrozenSet, List, NamedTuple, Optional, Set, Tuple, Type, Union

Path = Union[str, "os.PathLike[str]"]
Signature = Optional[Tuple[int, int, int]]

_CLOEXEC, _NONBLOCK = os.O_CLOEXEC, os.O_NONBLOCK
_MODIFY, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _OVERFLOW, _IGNORED = 0x400, 0x800, 0x4000, 0x8000
_OF_DIRECTORY = _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_OF_FILE = _MODIFY | _DELETE_SELF | _MOVE_SELF
_EVENT = struct.Struct("iIII")

_FIRST_DELAY, _LAST_DELAY = 0.05, 1.0  # seconds between two looks of a poll

# f_type of file systems that other machines change behind this kernel's back: statfs(2) and linux/magic.h.
_REMOTE = frozenset(
    {
        0x6969,  # nfs
        0x517B,  # smb
        0xFF534D42,  # cifs
        0xFE534D42,  # smb2
        0x0BD00BD0,  # lustre
        0x47504653,  # gpfs
        0x65735546,  # fuse, virtiofs
        0x01021997,  # 9p
        0x00C36400,  # ceph
        0x5346414F,  # openafs
        0x6B414653,  # kafs
        0x73757245,  # coda
        0x20030528,  # orangefs
        0x19830326,  # beegfs
        0xAAD7AAEA,  # panfs
        0x01161970,  # gfs2
        0x7461636F,  # ocfs2
        0x564C,  # ncp
        0x786F4256,  # vboxsf
    }
)


class _Polled(NamedTuple):
    path: Path
    dir_fd: Optional[int]
    seen: Signature


class Watcher:
    """Tells which of the files and directories added to it changed.

    Of a directory the coming and going of entries is told, of a file its content (and that it was
    renamed or removed). A watch stays with its file when that is renamed. Nothing runs in between:
    without ``wait`` nothing is looked at, and an inotify ``wait`` costs no wake-up while nothing changes.
    Files that inotify cannot serve (another platform, limits reached, a network file system) are looked
    at every 50 ms, less and less often down to once a second while they rest. Not for several threads.
    """

    def __init__(self, poll: bool = False) -> None:
        """Open the watcher; ``poll=True`` never asks for inotify."""
        self._fd = -1 if poll else _open_inotify()
        self._watched: Set[int] = set()
        self._polled: Dict[int, _Polled] = {}
        self._delay = _FIRST_DELAY
        self._poll = select.poll() if self._fd >= 0 else None
        if self._poll is not None:
            self._poll.register(self._fd, select.POLLIN)

    @property
    def polling(self) -> bool:
        """Whether some of what was added is polled: changes then show late, and ``fileno`` misses them."""
        return bool(self._polled) or self._fd < 0

    def add(self, path_or_fd: Union[Path, int], dir_fd: Optional[int] = None) -> int:
        """Watch a path (relative to ``dir_fd`` if given) or an open descriptor; return its handle.

        Changes after this call are told. The same file added twice has one handle. A descriptor must
        stay open while it is polled. Raises OSError (FileNotFoundError) when there is no such file.
        """
        path: Path = "/dev/fd/%d" % path_or_fd if isinstance(path_or_fd, int) else path_or_fd
        mode = os.stat(path, dir_fd=dir_fd).st_mode
        if self._fd >= 0 and not _is_remote(path, dir_fd):
            full = path if dir_fd is None else os.path.join("/proc/self/fd/%d" % dir_fd, path)
            handle = _add_watch(self._fd, full, _OF_DIRECTORY if stat.S_ISDIR(mode) else _OF_FILE)
            if handle is not None:
                self._watched.add(handle)
                return handle
        return self._add_polled(_Polled(path, dir_fd, _signature(path, dir_fd)))

    def _add_polled(self, entry: _Polled) -> int:
        for handle, other in self._polled.items():
            if other[:2] == entry[:2]:
                return handle
        handle = -1 - len(self._polled)
        while handle in self._polled:
            handle -= 1
        self._polled[handle] = entry
        self._delay = _FIRST_DELAY
        return handle

    def remove(self, handle: int) -> None:
        """Watch it no more; a handle that is unknown or whose file is gone is no error."""
        self._polled.pop(handle, None)
        if handle in self._watched:
            self._watched.discard(handle)
            _libc().inotify_rm_watch(self._fd, handle)

    def wait(self, timeout: Optional[float] = None) -> FrozenSet[int]:
        """Block until something changed, at most ``timeout`` seconds; return the handles of it.

        Empty at the time-out. When the kernel's queue ran over, all handles are returned.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            changed = self._sleep(left) | self._look()
            if changed or (deadline is not None and time.monotonic() >= deadline):
                return frozenset(changed)

    def _sleep(self, left: Optional[float]) -> Set[int]:
        if self.polling:
            left = self._delay if left is None else min(left, self._delay)
        if self._poll is None:
            time.sleep(left or 0.0)
            return set()
        # poll(2) counts whole milliseconds: rounding down would spin through the last one.
        ready = self._poll.poll(None if left is None else int(left * 1000 + 0.999))
        return self._events() if ready else set()

    def _events(self) -> Set[int]:
        data, found, at = os.read(self._fd, 65536), set(), 0
        while at < len(data):
            handle, mask, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size + length
            if mask & _OVERFLOW:
                found |= self._watched
            elif handle in self._watched:
                found.add(handle)
            if mask & _IGNORED:
                self._watched.discard(handle)
        return found

    def _look(self) -> Set[int]:
        changed = set()
        for handle, entry in self._polled.items():
            now = _signature(entry.path, entry.dir_fd)
            if now != entry.seen:
                changed.add(handle)
                self._polled[handle] = entry._replace(seen=now)
        self._delay = _FIRST_DELAY if changed else min(_LAST_DELAY, self._delay * 1.5)
        return changed

    def fileno(self) -> int:
        """The descriptor that is readable when ``wait`` would not block; OSError where all is polled."""
        if self._fd < 0:
            raise OSError(errno.ENOTSUP, "a polling watcher has no descriptor: call wait() with a timeout")
        return self._fd

    def close(self) -> None:
        """Release the descriptor; a second call does nothing."""
        fd, self._fd, self._poll = self._fd, -1, None
        if fd >= 0:
            for handle in self._watched:
                _libc().inotify_rm_watch(fd, handle)
            _put_by(fd)
        self._watched.clear()
        self._polled.clear()

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()


_loaded: List[Any] = []


def _libc() -> Any:
    import ctypes  # 5 ms, and of no use to a process that watches nothing

    if not _loaded:
        _loaded.append(ctypes.CDLL(None, use_errno=True))
    return _loaded[0]


def _open_inotify() -> int:
    """An inotify descriptor, or -1 where there is none to have (platform, EMFILE)."""
    if not sys.platform.startswith("linux"):
        return -1
    while _spare:
        try:
            pid, fd = _spare.pop()
        except IndexError:  # another thread was faster
            break
        if pid == os.getpid():  # a forked child shares its parent's descriptors
            return fd
    new: int = _libc().inotify_init1(_CLOEXEC | _NONBLOCK)
    return new


# The kernel takes some 10 ms to close an inotify descriptor that has had a watch, and 10 us to remove the watch.
_spare: List[Tuple[int, int]] = []
_MOST_SPARE = 2


def _put_by(fd: int) -> None:
    """Keep an empty descriptor for the next watcher of this process."""
    try:
        while True:
            os.read(fd, 65536)
    except BlockingIOError:
        if len(_spare) < _MOST_SPARE:
            _spare.append((os.getpid(), fd))
        else:
            os.close(fd)


def _add_watch(fd: int, path: Path, mask: int) -> Optional[int]:
    """A watch descriptor, or None when the kernel gives none (ENOSPC, no /proc): the caller polls."""
    import ctypes

    handle: int = _libc().inotify_add_watch(fd, os.fsencode(path), mask)
    if handle < 0 and ctypes.get_errno() == errno.ENOENT and os.path.isdir("/proc/self/fd"):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return handle if handle >= 0 else None


def _is_remote(path: Path, dir_fd: Optional[int]) -> bool:
    """Whether statfs(2) names a file system that other machines write to, where inotify stays silent."""
    import ctypes

    try:
        fd = os.open(path, os.O_RDONLY | _NONBLOCK | _CLOEXEC, dir_fd=dir_fd)
    except OSError:
        return False
    try:
        room = ctypes.create_string_buffer(512)
        failed = _libc().fstatfs(fd, room)
        return not failed and struct.unpack_from("l", room)[0] & 0xFFFFFFFF in _REMOTE
    finally:
        os.close(fd)


def _signature(path: Path, dir_fd: Optional[int]) -> Signature:
    """What tells one state of a file from the next; None when it is gone.

    The file is opened afresh: network file systems answer ``stat`` from a cache, and ask the server at open.
    """
    try:
        fd = os.open(path, os.O_RDONLY | _NONBLOCK | _CLOEXEC, dir_fd=dir_fd)
    except PermissionError:
        found = os.stat(path, dir_fd=dir_fd)
    except OSError:
        return None
    else:
        found = os.fstat(fd)
        os.close(fd)
    return found.st_ino, found.st_size, found.st_mtime_ns
