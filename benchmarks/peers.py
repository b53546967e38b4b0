"""Other tools that run commands on this machine, each in an environment of its own, beside Flow and a spawn.

A program per tool defines ``one()``, which submits ``true`` and waits as its documentation says, and ``many(count)``;
``stop()`` where it leaves processes behind.
Tasks of Flow survive everything but the end of the machine; task-spooler's survive their client, not its server.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from benchmarks.figures import Spread
from benchmarks.place import fresh_place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROUNDS, TOGETHER = 20, 200
_PATIENCE = 300.0  # seconds for one program


@attrs.frozen
class Peer:
    """``packages`` are installed from the package index; ``tool`` must be on the path instead (Debian)."""

    name: str
    program: str
    packages: tuple[str, ...] = ()
    tool: str = ""
    together: int = TOGETHER


_SPAWN = """
import subprocess
def one(): subprocess.run(["/bin/sh", "-c", "true"], check=True)
def many(count):
    for _ in range(count): one()
"""
_FLOW = """
import flow_core as flow
def one(): assert flow.submit("true").wait() == 0
def many(count): assert not any(task.wait() for task in [flow.submit("true") for _ in range(count)])
"""
_TSP = """
import os, subprocess
def tsp(*words): return subprocess.run(["tsp", *words], check=True, capture_output=True, text=True).stdout.strip()
tsp("-S", str(4 * len(os.sched_getaffinity(0))))
def one(): tsp("-w", tsp("-n", "true"))
def many(count):
    for job in [tsp("-n", "true") for _ in range(count)]: tsp("-w", job)
"""
_SUBMITIT = """
import subprocess, tempfile, submitit
executor = submitit.AutoExecutor(tempfile.mkdtemp(), cluster="local")
executor.update_parameters(timeout_min=5)
def one(): executor.submit(subprocess.check_call, ["true"]).result()
def many(count):
    for job in [executor.submit(subprocess.check_call, ["true"]) for _ in range(count)]: job.result()
"""
_PSIJ = """
import psij
executor = psij.JobExecutor.get_instance("local")
def start():
    job = psij.Job(psij.JobSpec(executable="/bin/true"))
    executor.submit(job)
    return job
def one(): start().wait()
def many(count):
    for job in [start() for _ in range(count)]: job.wait()
"""
PEERS = (
    Peer("spawn, one by one", _SPAWN),
    Peer("flow", _FLOW),
    Peer("task-spooler", _TSP, tool="tsp"),
    Peer("psij", _PSIJ, ("psij-python",)),
    Peer("submitit", _SUBMITIT, ("submitit",), together=20),
)
_HARNESS = """
import json, sys, time
def timed(act, *arguments):
    started = time.perf_counter()
    act(*arguments)
    return time.perf_counter() - started
one()
result = {"one": [timed(one) for _ in range(int(sys.argv[1]))], "many": timed(many, int(sys.argv[2]))}
print("RESULT" + json.dumps(result), flush=True)
globals().get("stop", lambda: None)()
import os
os._exit(0)
"""


def measure(folder: Path, peers: Sequence[Peer] = PEERS) -> str:
    """Return the table; makes the environments in ``folder`` where they are missing."""
    rows = [("TOOL", "SUBMIT -> SEEN", "LEAST", "MANY AT ONCE")]
    for peer in peers:
        with fresh_place() as place:
            rows.append((peer.name, *_row(peer, _run(peer, folder, place.folder))))
    return "".join(f"{name:20} {one:16} {least:12} {many}\n" for name, one, least, many in rows)


def _row(peer: Peer, found: Mapping[str, object] | str) -> tuple[str, str, str]:
    if isinstance(found, str):
        return found, "", ""
    one, many = found["one"], found["many"]
    if not isinstance(one, list) or not isinstance(many, float):
        raise TypeError(f"{peer.name} answered {found}")
    spread = Spread(tuple(map(float, one)))
    return (
        f"{spread.median * 1e3:.2f} ms",
        f"{spread.least * 1e3:.2f} ms",
        f"{peer.together / many:.0f}/s of {peer.together}",
    )


def _run(peer: Peer, folder: Path, scratch: Path) -> Mapping[str, object] | str:
    """Return what the program measured, or why it could not."""
    if peer.tool and not shutil.which(peer.tool):
        return f"no {peer.tool} here"
    python = _interpreter(peer, folder)
    search = os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", os.defpath)])
    environ = {**os.environ, "PATH": search, "TMPDIR": str(scratch), "TS_SOCKET": str(scratch / "tsp")}
    command = [python, "-c", peer.program + _HARNESS, str(ROUNDS), str(peer.together)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, env=environ, check=False)
    if peer.tool:
        subprocess.run([peer.tool, "-K"], env=environ, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            found: Mapping[str, object] = json.loads(line.removeprefix("RESULT"))
            return found
    return f"failed: {done.stderr.strip().rpartition(chr(10))[2][:70]}"


def _interpreter(peer: Peer, folder: Path) -> str:
    """Return the Python to run with; for packages one of an environment that is made for them."""
    if not peer.packages:
        return sys.executable
    environment = (folder / peer.packages[0]).absolute()
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-qq", *peer.packages], check=True)
    return str(python)
