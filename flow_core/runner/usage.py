"""What tasks use of their machine right now: by their control group where they have one, else by their processes.

A process is counted where its session is that of a rank, or where its environment carries the task's folder: one look
at /proc for all tasks.
"""

import os
import time
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

from . import cgroup, gpus, process
from .gpus import Device
from .record import attempt_dir, attempts, read_exit, read_json

_MARK = b"\0FLOW_TASK_DIR="


class Usage(NamedTuple):
    """One task: seconds of processor time since its start, bytes in memory, processes, its GPUs (as ``gpus.Device``).

    ``at`` is the monotonic time of the look: two of them tell how many cores it uses.
    """

    at: float
    cpu_seconds: float
    memory: int
    processes: int
    gpus: List[Device]


class _Process(NamedTuple):
    session: int
    cpu_seconds: float
    memory: int


def look(folders: Iterable[str]) -> Dict[str, Usage]:
    """Folder -> what its task uses, in its last attempt; zero where nothing of it runs on this machine."""
    ranks = {folder: _ranks(folder) for folder in folders}
    sessions = {watcher: folder for folder, found in ranks.items() for watcher, _ in found}
    at = time.monotonic()
    mine: Dict[str, List[_Process]] = {folder: [] for folder in ranks}
    for pid in process.pids() if ranks else ():
        row = _process(pid)
        folder = (sessions.get(row.session) or _marked(pid)) if row else None
        if row is not None and folder in mine:
            mine[folder].append(row)
    devices = _devices(mine)
    return {folder: _sum(at, rows, ranks[folder], devices[folder]) for folder, rows in mine.items()}


def _devices(folders: Iterable[str]) -> Dict[str, List[Device]]:
    """The GPUs that each was given; nobody is asked where none were."""
    given = {folder: (read_json(folder + "/grant.json") or {}).get("gpus") or [] for folder in folders}
    known = {device.id: device for device in gpus.find()} if any(given.values()) else {}
    return {folder: [known.get(gpu) or _unknown(gpu) for gpu in ids] for folder, ids in given.items()}


def _unknown(gpu: str) -> Device:
    return Device(str(gpu), "", "", 0, 0, None, "")


def _ranks(folder: str) -> List[Tuple[int, Optional[cgroup.Group]]]:
    """The watcher and the control group of each rank of the last attempt."""
    found = []
    for number in attempts(folder)[-1:]:
        above = os.path.dirname(attempt_dir(folder, number, 0))
        for name in os.listdir(above):
            if name.isdigit():
                watcher = read_exit("%s/%s/exit" % (above, name)).watcher
                found.append((watcher or 0, cgroup.find("%s/%s" % (above, name))))
    return found


def _sum(
    at: float, rows: List[_Process], ranks: List[Tuple[int, Optional[cgroup.Group]]], devices: List[Device]
) -> Usage:
    groups = [group for _, group in ranks]
    times = [group.cpu_seconds() if group else None for group in groups]
    sizes = [group.memory() if group else None for group in groups]
    return Usage(
        at,
        _all(times, sum(row.cpu_seconds for row in rows)),
        int(_all(sizes, sum(row.memory for row in rows))),
        len(rows),
        devices,
    )


def _all(counted: "List[Optional[float]] | List[Optional[int]]", otherwise: float) -> float:
    """What control groups counted, if all ranks have one that counts it."""
    known = [value for value in counted if value is not None]
    return float(sum(known)) if known and len(known) == len(counted) else otherwise


def _process(pid: int) -> Optional[_Process]:
    """Fields of ``/proc/PID/stat``: time of its own and of the children it has waited for, and memory."""
    try:
        with open("/proc/%d/stat" % pid, "rb", buffering=0) as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    ticks = sum(int(word) for word in fields[11:15])
    return _Process(int(fields[3]), ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))


def _marked(pid: int) -> Optional[str]:
    found = process.environ(pid).partition(_MARK)[2].partition(b"\0")[0]
    return os.fsdecode(found) if found else None
