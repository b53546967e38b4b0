"""1,000 tasks of ``true`` that survive their client, beside a loop that spawns and waits, as many at once."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, in_turns, timed
from benchmarks.one_task import RAW

if TYPE_CHECKING:
    from benchmarks.place import Place

TASKS = 1000
BUDGET = 2.0  # half the rate of the loop is twice its time
_PER_CORE = 4


def measure(place: Place) -> list[Figure]:
    """Return the figures."""
    count = TASKS // 5 if place.quick else TASKS
    found = in_turns(3, {"floor": lambda: spawn_loop(count), "ours": lambda: tasks(count)}, warm_up=0)
    what = f"{count} x true, {_at_once()} at once"
    return [Figure("many tasks", what, "spawn loop", found["floor"], found["ours"], budget=BUDGET, unit="s")]


def spawn_loop(count: int) -> float:
    """Return the seconds of starting and reaping so many shells, a few at once."""
    return timed(lambda: _spawn_all(count))


def _spawn_all(count: int) -> None:
    live: dict[int, subprocess.Popen[bytes]] = {}
    for _ in range(count):
        if len(live) >= _at_once():
            pid, _status = os.wait()
            live.pop(pid).returncode = 0
        child = subprocess.Popen(RAW)
        live[child.pid] = child
    for child in live.values():
        child.wait()


def tasks(count: int) -> float:
    """Return the seconds from the first submit until the last end was seen. Raises AssertionError when one fails."""
    import flow_core as flow

    def all_of_them() -> None:
        submitted = [flow.submit("true") for _ in range(count)]
        failed = [task.id for task in submitted if task.wait() != 0]
        if failed:
            raise AssertionError(f"{len(failed)} of {count} failed, the first is {failed[0]}")

    return timed(all_of_them)


def _at_once() -> int:
    return _PER_CORE * len(os.sched_getaffinity(0))
