"""1,000 tasks of ``true`` that survive their client, beside a loop that spawns and waits, as many at once.

Each contender is a program of its own, so that all that it started can be waited for and its processor time counted:
that says more than the clock where others use the machine too. Where task-spooler is installed it runs in turns with the
others, for comparison; its tasks are lost with its server.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs

from benchmarks.figures import Figure, Spread
from flow_core.runner.process import become_subreaper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.place import Place

TASKS = 1000
BUDGET = 2.0  # half the rate of the loop is twice its time
ROUNDS = 3
AT_ONCE = 4 * len(os.sched_getaffinity(0))

_BEGIN = """
import sys, time
count, at_once = int(sys.argv[1]), int(sys.argv[2])
"""
_END = """
started = time.perf_counter()
many()
print(time.perf_counter() - started)
"""
_SPAWN = """
import os, subprocess
def many():
    live = {}
    for _ in range(count):
        if len(live) >= at_once:
            live.pop(os.wait()[0]).returncode = 0
        child = subprocess.Popen(["/bin/sh", "-c", "true"])
        live[child.pid] = child
    for child in live.values():
        child.wait()
"""
_ONE_BY_ONE = """
import flow_core as flow
flow.submit("true").wait()
def many():
    assert not any(task.wait() for task in [flow.submit("true") for _ in range(count)])
"""
_TOGETHER = """
import flow_core as flow
client = flow.Flow()
client.submit("true").wait()
def many():
    assert not any(task.wait() for task in client.submit_many(["true"] * count))
"""
_TSP = """
import atexit, subprocess
def tsp(*words): return subprocess.run(["tsp", *words], check=True, capture_output=True, text=True).stdout.strip()
tsp("-S", str(at_once))
atexit.register(tsp, "-K")
def many():
    for job in [tsp("-n", "true") for _ in range(count)]: tsp("-w", job)
"""
PROGRAMS = {"floor": _SPAWN, "one by one": _ONE_BY_ONE, "submit_many": _TOGETHER, "task-spooler": _TSP}


@attrs.frozen
class Run:
    """One run of a program: seconds on the clock for its tasks, and of all processors for everything it started."""

    wall: float
    cpu: float


def measure(place: Place) -> list[Figure]:
    """Return the figures."""
    count = TASKS // 5 if place.quick else TASKS
    become_subreaper()
    programs = {name: code for name, code in PROGRAMS.items() if name != "task-spooler" or shutil.which("tsp")}
    # What a program costs without its tasks: the interpreter, its imports, the queue that comes and goes.
    alone = {name: run(code, 1, place) for name, code in programs.items()}
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, code in programs.items():
            runs[name].append(run(code, count, place))
    wall = {name: Spread(tuple(one.wall for one in found)) for name, found in runs.items()}
    cpu = {name: Spread(tuple(one.cpu - alone[name].cpu for one in found)) for name, found in runs.items()}
    what = f"{count} x true, {AT_ONCE} at once"
    return [*_figures("many tasks", what, wall, BUDGET), *_figures("many tasks, CPU", what, cpu, None)]


def _figures(name: str, what: str, found: Mapping[str, Spread], budget: float | None) -> list[Figure]:
    return [
        Figure(
            name if contender != "task-spooler" else name.replace("many tasks", contender),
            what if contender == "task-spooler" else f"{what}, {contender}",
            "spawn loop",
            found["floor"],
            spread,
            budget=None if contender == "task-spooler" else budget,
            unit="s",
        )
        for contender, spread in found.items()
        if contender != "floor"
    ]


def run(code: str, count: int, place: Place) -> Run:
    """Run a program and wait for all that it left behind. Raises CalledProcessError when a task fails."""
    before = _used()
    environ = {**os.environ, "TMPDIR": str(place.folder), "TS_SOCKET": str(place.folder / "tsp")}
    command = [sys.executable, "-c", _BEGIN + code + _END, str(count), str(AT_ONCE)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
    with suppress(ChildProcessError):
        while True:
            os.wait()
    return Run(float(done.stdout.split()[-1]), _used() - before)


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
