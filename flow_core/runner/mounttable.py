"""The mount table of this process: the system calls that make one of its own and change it."""

import contextlib
import ctypes
import errno
import os
import re
from typing import List, Optional

_NEWNS, _NEWUSER = 0x00020000, 0x10000000  # sched.h
_NOSUID, _NODEV = 0x2, 0x4
_RDONLY, _REMOUNT, _BIND, _REC, _PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000  # sys/mount.h
# nosuid, nodev, noexec: the same bits in statvfs(3). A remount that names no atime flag keeps what there is.
_LOCKED = 0x2 | 0x4 | 0x8
_O_PATH = getattr(os, "O_PATH", 0) | os.O_CLOEXEC

# What switches user namespaces off, by which value, and how to switch them on.
_SWITCHES = (
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "an AppArmor profile with 'userns,' for this Python",
    ),
)


class MountError(OSError):
    """A mount could not be made: the message says what, where, why and what to do."""


def isolate() -> None:
    """Give this process a mount table of its own, of which nothing is seen outside.

    Without privileges in a user namespace with the same uid and gid. Raises MountError: why not, what to do.
    """
    try:
        try:
            _check(_libc.unshare(_NEWNS))
        except PermissionError:
            uid, gid = os.geteuid(), os.getegid()
            _check(_libc.unshare(_NEWUSER | _NEWNS))
            maps = {"setgroups": "deny", "uid_map": "%d %d 1" % (uid, uid), "gid_map": "%d %d 1" % (gid, gid)}
            for name, text in maps.items():  # in this order: user_namespaces(7)
                with open("/proc/self/" + name, "w") as file:
                    file.write(text)
        _mount("none", "/", "", _REC | _PRIVATE)
    except OSError as error:
        raise MountError(_refused(error)) from error


def _refused(error: OSError) -> str:
    what = "this user cannot have mounts of its own (%s): " % error.strerror
    if error.errno == errno.EINVAL:
        return what + "the process has several threads; mount in a child that has one"
    for name, off, mend in _SWITCHES:
        with contextlib.suppress(OSError), open("/proc/sys/" + name) as file:
            if file.read().strip() == off:
                return what + "%s is %s; ask for %s" % (name.replace("/", "."), off, mend)
    return what + "in a container, allow unshare and mount (CAP_SYS_ADMIN, or another seccomp profile)"


def bind(source: str, target: str) -> None:
    """Show ``source``, and what is mounted below it, at ``target`` too. Raises OSError."""
    _mount(source, target, "", _BIND | _REC)


def attach_fuse(folder: str, fd: int) -> None:
    """Mount over ``folder`` what is served through ``fd``, an opened ``/dev/fuse``. Raises OSError."""
    uid = os.geteuid()
    options = "fd=%d,rootmode=40000,user_id=%d,group_id=%d,default_permissions" % (fd, uid, os.getegid())
    # Root may become somebody else in the task.
    _mount("gocryptfs", folder, "fuse.gocryptfs", _NOSUID | _NODEV, options + (",allow_other" if uid == 0 else ""))


def cover(folder: str, mode: int) -> None:
    """Mount an empty tmpfs over a folder. Raises OSError."""
    _mount("tmpfs", folder, "tmpfs", 0, "mode=%o" % mode)


def mounts_below(target: str) -> List[str]:
    """Where something is mounted at or below ``target``: proc_pid_mountinfo(5); what is hidden is not."""
    with open("/proc/self/mountinfo", "rb") as file:
        fields = [line.split(b" ") for line in file]
    octal = re.compile(rb"\\([0-7]{3})")  # blanks, newlines and backslashes are escaped
    places = [os.fsdecode(octal.sub(lambda found: bytes([int(found[1], 8)]), words[4])) for words in fields]
    below = [(place, int(words[0])) for place, words in zip(places, fields) if (place + "/").startswith(target + "/")]
    return [place for place, number in below if _mount_id(place) == number]


def _mount_id(place: str) -> Optional[int]:
    """Which mount a path leads to; None when it leads nowhere."""
    try:
        fd = os.open(place, _O_PATH)
    except OSError:
        return None
    with open("/proc/self/fdinfo/%d" % fd) as file:
        found = re.search(r"mnt_id:\s*(\d+)", file.read())
    os.close(fd)
    return int(found[1]) if found else None


def make_read_only(place: str) -> None:
    """Refuse writing to what is mounted at ``place``, keeping what the kernel locks. Raises OSError."""
    kept = os.statvfs(place).f_flag & _LOCKED
    _mount("none", place, "", _REMOUNT | _BIND | _RDONLY | kept)


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    words = [os.fsencode(word) or None for word in (source, target, kind, data)]
    _check(_libc.mount(*words[:3], ctypes.c_ulong(flags), words[3]))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


_libc = ctypes.CDLL(None, use_errno=True)
