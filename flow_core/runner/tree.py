"""The processes of a rank: who belongs to it, and their end."""

import os
import signal
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from . import process
from .process import Stat

SERVER = "FLOW_RUNNER_SERVER"  # in the environment of every server


class Root(NamedTuple):
    """What the processes of a rank have in common; ``watcher`` 0: it is gone, and its session with it.

    They are in the watcher's session, descend from it or from the command, or carry the rank's own
    variables, which also those have that called setsid and whose parents are gone.
    """

    watcher: int
    task: Optional[Tuple[int, int]]
    marks: Tuple[bytes, ...]


def root(watcher: int, task: Optional[Tuple[int, int]], folder: str, attempt: int, rank: int) -> Root:
    """The root of the tree of one rank of one attempt."""
    marks = ("FLOW_TASK_DIR=%s" % folder, "FLOW_ATTEMPT=%d" % attempt, "FLOW_NODE_RANK=%d" % rank)
    return Root(watcher, task, tuple(b"\0" + os.fsencode(mark) + b"\0" for mark in marks))


def owns(tree: Root, pid: int, row: Stat) -> bool:
    """Whether this process belongs to the tree by what itself shows (descent left aside)."""
    if (tree.watcher and row.session == tree.watcher) or (tree.task is not None and (pid, row.started) == tree.task):
        return True
    found = process.environ(pid)
    return all(mark in found for mark in tree.marks)


def is_unmarked(pid: int) -> bool:
    """Whether a process carries neither a task's mark nor that of a server that a task has started."""
    found = process.environ(pid)
    return b"\0FLOW_TASK_DIR=" not in found and b"\0%s=" % SERVER.encode() not in found


def members(tree: Root) -> List[int]:
    """The processes of the tree that run, parents before children, without its watcher and this process."""
    rows = process.table()
    keep = {os.getpid(), os.getppid(), tree.watcher, 1}
    mine: Set[int] = {pid for pid, row in rows.items() if pid not in keep and owns(tree, pid, row)}
    by_parent: Dict[int, List[int]] = {}
    for pid, row in rows.items():
        by_parent.setdefault(row.parent, []).append(pid)
    # Only a watcher that is still one: its pid may have gone to a stranger.
    leader = rows.get(tree.watcher)
    heads = list(mine) + ([tree.watcher] if leader and leader.session == tree.watcher else [])
    while heads:
        new = [pid for pid in by_parent.get(heads.pop(), ()) if pid not in mine and pid not in keep]
        mine.update(new)
        heads.extend(new)
    # Oldest first: a shell whose child is signalled before itself would go on with its next line.
    return sorted((pid for pid in mine if rows[pid].state not in "ZX"), key=lambda pid: (rows[pid].started, pid))


def send(pids: List[int], number: int) -> None:
    """Signal these processes; those that are gone are no error. One that is stopped is woken to hear it."""
    for pid in pids:
        for what in (number, signal.SIGCONT):
            try:
                os.kill(pid, what)
            except (ProcessLookupError, PermissionError):
                break


def command(watcher: int, rows: Dict[int, Stat]) -> Optional[Tuple[int, Stat]]:
    """The command of a watcher, zombie or not: what is first in its session; None when it is gone."""
    mine = [(row.started, pid) for pid, row in rows.items() if row.session == watcher and pid != watcher]
    return (min(mine)[1], rows[min(mine)[1]]) if mine else None
