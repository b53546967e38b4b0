"""Other tools that run commands on this machine, each in an environment of its own, beside Flow and a spawn.

A program per tool defines ``one()``, which submits ``true`` and waits as its documentation says, and ``many(count)``;
``stop()`` where it leaves processes behind, and ``submit()`` where accepting is of interest. All run in turns, some rounds of each.
torchx waits 10 s between two looks unless it is told otherwise, flow-compute 2 s: here they look each 10 ms.
Tasks of Flow survive everything but the end of the machine; task-spooler's survive their client, not its server.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import attrs

from benchmarks.figures import Spread
from benchmarks.place import fresh_place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROUNDS, EACH, TOGETHER = 3, 7, 200
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
def many(count): assert not any(task.wait() for task in flow.Flow().submit_many(["true"] * count))
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
_PARSL = """
import os, parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider
workers = 4 * len(os.sched_getaffinity(0))
pool = HighThroughputExecutor(
    address="127.0.0.1", max_workers_per_node=workers, provider=LocalProvider(init_blocks=1, max_blocks=1))
parsl.load(Config(executors=[pool], run_dir=os.environ["TMPDIR"], usage_tracking=0))
@parsl.bash_app
def shell(): return "true"
def one(): assert shell().result() == 0
def many(count): assert not any(run.result() for run in [shell() for _ in range(count)])
def stop(): parsl.dfk().cleanup()
"""
_EXECUTORLIB = """
import os, subprocess
from executorlib import SingleNodeExecutor
cores = len(os.sched_getaffinity(0))
single = SingleNodeExecutor(max_workers=cores)
def one(): assert single.submit(subprocess.call, ["true"]).result() == 0
def many(count):
    with SingleNodeExecutor(max_workers=4 * cores, block_allocation=True) as pool:
        assert not any(run.result() for run in [pool.submit(subprocess.call, ["true"]) for _ in range(count)])
def stop(): single.shutdown()
"""
_TORCHX = """
import tempfile
from torchx.runner import get_runner
from torchx.specs import AppDef, Role
runner = get_runner()
def start():
    app = AppDef("bench", roles=[Role("main", image=tempfile.gettempdir(), entrypoint="/bin/true")])
    return runner.run(app, "local_cwd", {"log_dir": tempfile.mkdtemp()})
def end(handle): assert runner.wait(handle, wait_interval=0.01).state.name == "SUCCEEDED"
def one(): end(start())
def many(count):
    for handle in [start() for _ in range(count)]: end(handle)
"""
_FLOW_COMPUTE = """
import os, time
from types import SimpleNamespace
os.environ["FLOW_LOCAL_USE_DOCKER"], os.environ["HOME"] = "false", os.environ["TMPDIR"]
from flow import TaskConfig
from flow.adapters.providers.builtin.local.provider import LocalProvider
provider = LocalProvider.from_config(SimpleNamespace(provider="local", provider_config={}))
config = TaskConfig(name="bench", command="true", instance_type="cpu.small", upload_code=False)
def start(): return provider.submit_task("cpu.small", config).task_id
def end(task):
    while provider.get_task_status(task).value not in ("completed", "failed", "cancelled"): time.sleep(0.01)
    assert provider.get_task_status(task).value == "completed"
def one(): end(start())
def many(count):
    for task in [start() for _ in range(count)]: end(task)
"""
PEERS = (
    Peer("spawn, one by one", _SPAWN),
    Peer("flow", _FLOW),
    Peer("task-spooler", _TSP, tool="tsp"),
    Peer("psij", _PSIJ, ("psij-python",)),
    Peer("parsl", _PARSL, ("parsl",)),
    Peer("executorlib", _EXECUTORLIB, ("executorlib",)),
    Peer("torchx", _TORCHX, ("torchx",), together=50),  # it refuses the hundred and first
    Peer("flow-compute", _FLOW_COMPUTE, ("flow-compute",), together=50),
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
if "submit" in globals():
    result["submit"] = [timed(submit) for _ in range(int(sys.argv[1]))]
print("RESULT" + json.dumps(result), flush=True)
globals().get("stop", lambda: None)()
import os
os._exit(0)
"""


def measure(folder: Path, peers: Sequence[Peer]) -> str:
    """Return the table; makes the environments in ``folder`` where they are missing."""
    found: dict[str, list[Mapping[str, Any] | str]] = {peer.name: [] for peer in peers}
    for _ in range(ROUNDS):
        for peer in peers:
            if not any(isinstance(earlier, str) for earlier in found[peer.name]):
                with fresh_place() as place:
                    found[peer.name].append(_run(peer, folder, place.folder))
    header = ("TOOL", "SUBMIT -> SEEN", "LEAST", "MANY AT ONCE", "MOST", "SUBMIT", "LEAST")
    rows = [_row(one, found[one.name]) for one in peers]
    shown = [(row + ("",) * len(header))[: max(map(len, rows))] for row in (header, *rows)]
    return "".join("".join(f"{word:20}" for word in row).rstrip() + "\n" for row in shown)


def _row(peer: Peer, found: Sequence[Mapping[str, Any] | str]) -> tuple[str, ...]:
    measured = [one for one in found if not isinstance(one, str)]
    if len(measured) < len(found):
        return peer.name, next(one for one in found if isinstance(one, str))
    one = Spread(tuple(seconds for run in measured for seconds in run["one"]))
    many = Spread(tuple(run["many"] for run in measured))
    submits = tuple(seconds for run in measured for seconds in run.get("submit", ()))
    return (
        peer.name,
        f"{one.median * 1e3:.2f} ms",
        f"{one.least * 1e3:.2f} ms",
        f"{peer.together / many.median:.0f}/s of {peer.together}",
        f"{peer.together / many.least:.0f}/s",
        *(f"{seconds * 1e3:.2f} ms" for seconds in (median(submits), min(submits)) if submits),
    )


def _run(peer: Peer, folder: Path, scratch: Path) -> Mapping[str, Any] | str:
    """Return what the program measured, or why it could not."""
    if peer.tool and not shutil.which(peer.tool):
        return f"no {peer.tool} here"
    python = _interpreter(peer, folder)
    search = os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", os.defpath)])
    environ = {**os.environ, "PATH": search, "TMPDIR": str(scratch), "TS_SOCKET": str(scratch / "tsp")}
    command = [python, "-c", peer.program + _HARNESS, str(EACH), str(peer.together)]
    # Elsewhere: one of them is imported as ``flow`` too.
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_PATIENCE, env=environ, check=False, cwd=scratch
    )
    if peer.tool:
        subprocess.run([peer.tool, "-K"], env=environ, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            found: Mapping[str, Any] = json.loads(line.removeprefix("RESULT"))
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
