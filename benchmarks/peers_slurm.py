"""Other tools that submit to Slurm, beside Flow and sbatch, on one cluster of this machine's own; each waits its own way.

A program as in :mod:`benchmarks.peers`, with ``submit()`` that returns once Slurm has the job; ``many`` is one array where
the tool has that. sbatch alone has no wait but one that looks every two seconds: here scontrol is asked each 50 ms.
torchx, which asks sacct, waits 10 s between two looks unless it is told otherwise: here it looks each 10 ms.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.peers import Peer, measure as run_peers
from benchmarks.slurm import cluster

if TYPE_CHECKING:
    from pathlib import Path

_TOGETHER = 20
_SBATCH = """
import subprocess, time
def ask(*words): return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
def submit(*more): return ask("sbatch", "--parsable", "--output=/dev/null", "--wrap=true", *more)
def end(job):
    while any(word in ask("scontrol", "show", "job", "-o", job) for word in ("=PENDING", "=RUNNING", "=COMPLETING")):
        time.sleep(0.05)
def one(): end(submit())
def many(count): end(submit(f"--array=0-{count - 1}"))
"""
_FLOW = """
import os, pathlib
import flow_core
home = pathlib.Path(os.environ["FLOW_HOME"])
home.mkdir(parents=True)
lab = "{provider: slurm, root: %s/flow}" % os.getcwd()
(home / "config.yaml").write_text("default: lab\\nprofiles:\\n  lab: %s\\n" % lab)
(home / "config.yaml").chmod(0o600)
flow = flow_core.Flow()
def submit(): return flow.submit("true")
def one(): assert submit().wait() == 0
def many(count): assert not any(task.wait() for task in flow.submit_many(["true"] * count))
"""
_SUBMITIT = """
import os, subprocess, submitit
executor = submitit.AutoExecutor(os.getcwd() + "/submitit", cluster="slurm")
executor.update_parameters(timeout_min=5)
def submit(): return executor.submit(subprocess.check_call, ["true"])
def one(): submit().result()
def many(count):
    for job in executor.map_array(subprocess.check_call, [["true"]] * count): job.result()
"""
_TORCHX = """
import os
from torchx.runner import get_runner
from torchx.specs import AppDef, Resource, Role
runner = get_runner()
def submit():
    role = Role("main", image=os.getcwd(), entrypoint="/bin/true", resource=Resource(cpu=1, gpu=0, memMB=100))
    return runner.run(AppDef("bench", roles=[role]), "slurm", {})
def end(handle): assert runner.wait(handle, wait_interval=0.01).state.name == "SUCCEEDED"
def one(): end(submit())
def many(count):
    for handle in [submit() for _ in range(count)]: end(handle)
"""
SLURM_PEERS = (
    Peer("sbatch, scontrol", _SBATCH, together=_TOGETHER),
    Peer("flow", _FLOW, together=_TOGETHER),
    Peer("submitit", _SUBMITIT, ("submitit",), together=_TOGETHER),
    Peer("torchx", _TORCHX, ("torchx",), together=_TOGETHER),
)


def measure(folder: Path) -> str:
    """Return the table; empty where no cluster can be started."""
    with cluster(accounting=True) as started:
        if started is None:
            print("slurm: not measured: a cluster can be started by root, with Slurm installed", file=sys.stderr)
            return ""
        return run_peers(folder, SLURM_PEERS)
