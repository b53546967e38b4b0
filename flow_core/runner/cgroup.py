"""A control group for each rank that claims memory or cores: limits, who is in it, and whether memory ran out.

Version 2 where the controllers are there and this process may make groups, else version 1. Groups are made below the
group this process is in, or the nearest one above it that may be written: a limit on us is a limit on tasks. The
command enters its group by itself before it is executed, so nothing that it starts escapes; its watcher stays outside.

Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/{memory,cgroups}.rst of Linux, proc(5).
"""

import os
import signal
import zlib
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from . import process
from .record import read_json, write_json
from .watcher import shell

_PERIOD = 100_000  # microseconds
_LEAST_QUOTA = 1_000  # what the kernel takes
_ENTER = 'n=$1; shift; while [ $n -gt 0 ]; do echo 0 2>/dev/null >"$1/cgroup.procs"; shift; n=$((n-1)); done; exec "$@"'
_CONTROLLERS = ("memory", "cpu")
_NOTE = "/cgroup"  # in the folder of a rank


class Home(NamedTuple):
    """Where groups of one controller are made; ``version`` is 1 or 2."""

    version: int
    path: str


_homes: List[Dict[str, Home]] = []


def homes() -> Dict[str, Home]:
    """Controller (``memory``, ``cpu``) -> where its groups are made; those that cannot be used are absent."""
    if not _homes:
        _homes.append({} if "cgroup" in process.WITHOUT else _find())
    return _homes[0]


def _find() -> Dict[str, Home]:
    own = _own()
    found: Dict[str, Home] = {}
    for version, root, place, kinds in _mounts():
        if version == 2:
            found.update(_second(place, os.path.relpath(own.get("", "/"), root)))
            continue
        for name in _CONTROLLERS:
            if name in kinds and name in own and name not in found:
                path = next(_writable(place, os.path.relpath(own[name], root)), None)
                found.update({name: Home(1, path)} if path else {})
    return found


def _second(place: str, below: str) -> Dict[str, Home]:
    """Version 2 has one tree: a process is in one group for all controllers."""
    best: Dict[str, Home] = {}
    for path in _writable(place, below):
        found = {name: Home(2, path) for name in _CONTROLLERS if _gives(path, name)}
        if len(found) > len(best):
            best = found
    return best


def _own() -> Dict[str, str]:
    """Controller -> the group of this process; "" is that of version 2."""
    found: Dict[str, str] = {}
    for line in _read("/proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        found.update((name, path) for name in names.split(","))
    return found


def _mounts() -> Iterator[Tuple[int, str, str, List[str]]]:
    """Version, root, mount point and controllers; version 2 first."""
    rows = []
    for line in _read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        kind, options = after.split(" ")[0], after.split(" ")[2]
        if kind in ("cgroup", "cgroup2"):
            words = before.split(" ")
            rows.append((2 if kind == "cgroup2" else 1, words[3], words[4], options.split(",")))
    return iter(sorted(rows, key=lambda row: -row[0]))


def _writable(place: str, below: str) -> Iterator[str]:
    """Groups in which others may be made: this one and those above it, as far as the mount shows them."""
    below = "." if below.startswith("..") else below
    while True:
        path = os.path.normpath(os.path.join(place, below))
        if os.access(path, os.W_OK) and os.access(path + "/cgroup.procs", os.W_OK):
            yield path
        if below in (".", ""):
            return
        below = os.path.dirname(below) or "."


def _gives(path: str, controller: str) -> bool:
    """Whether groups below this one of version 2 have the controller; it is switched on where that is possible."""
    if controller in _read(path + "/cgroup.subtree_control").split():
        return True
    return controller in _read(path + "/cgroup.controllers").split() and _write(
        path + "/cgroup.subtree_control", "+" + controller
    )


class Group:
    """The control group of one rank: a folder for each controller (one for all in version 2), and its memory limit."""

    def __init__(self, places: Dict[str, str], limit: Optional[int]) -> None:
        self._places, self._limit = places, limit

    @property
    def _folders(self) -> List[str]:
        return [path for path in dict.fromkeys(self._places.values()) if os.path.isdir(path)]

    def inside(self, argv: List[str]) -> List[str]:
        """The argv that enters the group and then is ``argv``; the same where there is no group."""
        folders = self._folders
        return [*shell(), "-c", _ENTER, "flow", str(len(folders)), *folders, *argv] if folders else argv

    def pids(self) -> List[int]:
        """Every process in it, also in groups that the task has made below it."""
        found: Dict[int, None] = {}
        for path in self._folders[:1]:
            for above, _, _ in os.walk(path):
                found.update((int(word), None) for word in _read(above + "/cgroup.procs").split())
        return list(found)

    def ran_out(self) -> Optional[int]:
        """The limit in bytes where a process in it was killed for memory; None where none was."""
        path = self._places.get("memory", "")
        # Version 2 counts in memory.events, version 1 in memory.oom_control (since Linux 4.13).
        kills = _number(path + "/memory.events", "oom_kill") or _number(path + "/memory.oom_control", "oom_kill")
        return self._limit if kills else None

    def remove(self) -> None:
        """Kill what is left in it, and remove it."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        for path in self._folders:
            for above, _, _ in os.walk(path, topdown=False):
                try:
                    os.rmdir(above)
                except OSError:  # it is being emptied
                    break

    def cpu_seconds(self) -> Optional[float]:
        """Processor time of all that ever ran in it; None where it is not counted."""
        path = self._places.get("cpu")
        micros = _number(path + "/cpu.stat", "usage_usec") if path else None
        if micros is not None:
            return micros / 1e6
        nanos = _read(path + "/cpuacct.usage").strip() if path else ""
        return int(nanos) / 1e9 if nanos.isdigit() else None

    def memory(self) -> Optional[int]:
        """Bytes in use, without what could be dropped at once (inactive files); None where it is not counted."""
        path = self._places.get("memory", "")
        total = _read(path + "/memory.current").strip() or _read(path + "/memory.usage_in_bytes").strip()
        if not path or not total.isdigit():
            return None
        stat = path + "/memory.stat"
        files = _number(stat, "total_inactive_file") or _number(stat, "inactive_file") or 0
        return max(0, int(total) - files)


def make(folder: str, memory: Optional[int], cpus: Optional[float]) -> Optional[Group]:
    """Make the group of a rank whose files are in ``folder``; limits in bytes and cores. None where none can be had.

    What was made is noted in ``folder``, so that it is found by processes that are in another group. Raises OSError
    when that cannot be written.
    """
    name = "flow.%08x.%s" % (zlib.crc32(os.fsencode(folder)), "-".join(folder.split("/")[-4:]))
    places: Dict[str, str] = {}
    if memory is not None:
        # Swap is no memory that was asked for: none of it in version 2, counted with the rest in version 1.
        first = (("memory.limit_in_bytes", str(memory)), ("memory.memsw.limit_in_bytes", str(memory)))
        places.update(_make("memory", name, first, (("memory.max", str(memory)), ("memory.swap.max", "0"))))
    if cpus is not None:
        quota = str(max(_LEAST_QUOTA, int(cpus * _PERIOD)))
        first = (("cpu.cfs_period_us", str(_PERIOD)), ("cpu.cfs_quota_us", quota))
        places.update(_make("cpu", name, first, (("cpu.max", "%s %d" % (quota, _PERIOD)),)))
    if not places:
        return None
    write_json(folder + _NOTE, {"places": places, "limit": memory})
    return Group(places, memory)


def find(folder: str) -> Optional[Group]:
    """The group that was made for the rank whose files are in ``folder``; None where it has none."""
    found = read_json(folder + _NOTE)
    return Group(found["places"], found["limit"]) if found else None


def _make(
    controller: str, name: str, first: Sequence[Tuple[str, str]], second: Sequence[Tuple[str, str]]
) -> Dict[str, str]:
    home = homes().get(controller)
    if home is None:
        return {}
    path = "%s/%s" % (home.path, name)
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except OSError:
        return {}
    for file, value in second if home.version == 2 else first:
        _write("%s/%s" % (path, file), value)
    return {controller: path}


def enforced() -> Dict[str, int]:
    """Controller -> version of control groups that limits of tasks are enforced by, after making one to be sure."""
    found = {}
    for name, home in homes().items():
        trial = "%s/flow.trial.%d" % (home.path, os.getpid())
        try:
            os.mkdir(trial)
            os.rmdir(trial)
            found[name] = home.version
        except OSError:
            continue
    return found


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _number(path: str, key: str) -> Optional[int]:
    for line in _read(path).splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.strip().isdigit():
            return int(value)
    return None


def _write(path: str, value: str) -> bool:
    try:
        with open(path, "w") as file:
            file.write(value)
        return True
    except OSError:
        return False
