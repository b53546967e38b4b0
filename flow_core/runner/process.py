"""What the kernel says about processes: /proc, pidfds, sub-reaping. Linux only.

``FLOW_RUNNER_WITHOUT=pidfd,pidfd_info,subreaper,children`` goes without these interfaces, as on kernels that
lack them: pidfd_open (5.3), PIDFD_GET_INFO with exit status (6.15), PR_SET_CHILD_SUBREAPER (3.4), the
``children`` file (3.5, CONFIG_PROC_CHILDREN).
"""

import fcntl
import os
import struct
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from .record import content

WITHOUT = frozenset(os.environ.get("FLOW_RUNNER_WITHOUT", "").split(","))

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PIDFD_OPEN = 434  # the same number on every architecture; os.pidfd_open came with Python 3.9
_PIDFD_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, 64 bytes), linux/pidfd.h
_PIDFD_INFO_EXIT = 8
_START_SECONDS = 5.0  # within which a process is there after it was written that it is about to start


class Stat(NamedTuple):
    """Fields of ``/proc/PID/stat``; ``status`` is a wait status, 0 unless the caller may see it."""

    state: str
    parent: int
    session: int
    started: int
    status: int


def stat(pid: int) -> Optional[Stat]:
    """A process, zombies included; None when there is none."""
    try:
        fields = content("/proc/%d/stat" % pid)[0].rpartition(b")")[2].split()
    except OSError:
        return None
    return Stat(fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]), int(fields[49]))


def is_alive(pid: int, started: int) -> bool:
    """Whether the process of that pid and start time still runs (a zombie does not)."""
    found = stat(pid)
    return found is not None and found.started == started and found.state not in "ZX"


def has_witness(pid: int, started: int) -> bool:
    """Whether the process of that pid and start time still runs, or is a zombie whose parent will take its exit code.

    Init is none: it tells nobody, and in a container it may be a program that leaves its zombies.
    """
    found = stat(pid)
    if found is None or found.started != started:
        return False
    return found.state not in "ZX" or found.parent > 1


def memory_kills() -> int:
    """How many processes of this machine were killed for memory since it was started; proc(5), /proc/vmstat."""
    try:
        with open("/proc/vmstat") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except (OSError, ValueError):
        return 0


def pids() -> Iterator[int]:
    """Every process of this machine."""
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def table() -> Dict[int, Stat]:
    """Every process of this machine, zombies included."""
    rows = ((pid, stat(pid)) for pid in pids())
    return {pid: row for pid, row in rows if row is not None}


def is_stranger(pid: int, since: float) -> bool:
    """Whether the process of that pid, if there is one, is another than the one started at ``since`` (monotonic)."""
    found = stat(pid)
    if found is None or not hasattr(time, "CLOCK_BOOTTIME"):
        return False
    # Start times count the time that the machine slept. As long as anything is left of a session the kernel gives its
    # number to nobody: with a stranger as leader none of it is ours.
    slept = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    return found.started / os.sysconf("SC_CLK_TCK") > since + slept + _START_SECONDS


def session(leader: int, since: float) -> bool:
    """Whether anything of the session of ``leader``, which was started at ``since`` (monotonic), still runs."""
    if is_stranger(leader, since):
        return False
    first = stat(leader)
    if first is not None and first.session == leader and first.state not in "ZX":
        return True
    return any(row.session == leader and row.state not in "ZX" for row in table().values())


def environ(pid: int) -> bytes:
    """The environment a process was started with; empty where it may not be seen."""
    try:
        return b"\0" + content("/proc/%d/environ" % pid)[0] + b"\0"
    except OSError:
        return b""


def children(pid: int) -> List[int]:
    """The children of a process with one thread, zombies included."""
    if "children" not in WITHOUT:
        try:
            return [int(word) for word in content("/proc/%d/task/%d/children" % (pid, pid))[0].split()]
        except OSError:
            if os.path.exists("/proc/self/task/%d/children" % os.getpid()):
                return []
    return [child for child, row in table().items() if row.parent == pid]


_boot: List[str] = []


def boot_id() -> str:
    """What tells this boot of the machine from any other; ``FLOW_RUNNER_BOOT_ID`` overrides it."""
    forced = os.environ.get("FLOW_RUNNER_BOOT_ID")
    if forced:
        return forced
    if not _boot:
        try:
            with open("/proc/sys/kernel/random/boot_id") as file:
                _boot.append(file.read().strip())
        except OSError:
            _boot.append("unknown")
    return _boot[0]


def host() -> str:
    """The name of this machine, without blanks."""
    return os.uname().nodename.replace(" ", "-") or "localhost"


_loaded: List[Any] = []


def _libc() -> Any:
    import ctypes

    if not _loaded:
        _loaded.append(ctypes.CDLL(None, use_errno=True))
    return _loaded[0]


def become_subreaper() -> bool:
    """Have orphans of our descendants given to this process, not to init; whether the kernel agreed."""
    if "subreaper" in WITHOUT:
        return False
    return bool(_libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def open_pidfd(pid: int) -> Optional[int]:
    """A descriptor that becomes readable when the process ends; None where there is none to have."""
    if "pidfd" in WITHOUT:
        return None
    if hasattr(os, "pidfd_open"):
        try:
            return os.pidfd_open(pid)
        except OSError:
            return None
    fd: int = _libc().syscall(_PIDFD_OPEN, pid, 0)
    return fd if fd >= 0 else None


def pidfd_status(fd: int) -> Optional[int]:
    """The wait status of an ended and reaped process; None before that, or where the kernel cannot tell."""
    if "pidfd_info" in WITHOUT:
        return None
    answer = bytearray(64)
    struct.pack_into("Q", answer, 0, _PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(fd, _PIDFD_GET_INFO, answer)
    except OSError:
        return None
    told: int = struct.unpack_from("Q", answer, 0)[0]
    return struct.unpack_from("i", answer, 60)[0] if told & _PIDFD_INFO_EXIT else None
