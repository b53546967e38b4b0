"""Forty patterns of real scripts: sbatch on a cluster, and Flow on this machine and on the cluster, leave the same files.

All are submitted first and waited for together, once for all of these tests. Not run: 09 (pyxis) and 38 (heterogeneous
jobs), which are refused; 23 (a number written by hand), which is another job on every cluster.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from flow_core import ConfigError, Flow, FrontendTask, Resources, Task

from . import forty
from .cluster import Cluster

REFUSED = ({"refused": ""}, 1)
_SIGNALLED = ("slurmstepd-", "Terminated")  # a shell that outlives its child, which got the same signal, says so
_NUMBER = re.compile(r"(?<=slurm-)\d+|(?<=logs/)\d+|\d{2,}")
_FOLDER = re.compile(r"/\S*/(?=slurm_script)")
Outcome = tuple[dict[str, str], int]


@attrs.frozen
class Runs:
    """All patterns, each in folders of its own; a job's number or its tasks, None where it was refused."""

    folder: Path
    cluster: Cluster
    jobs: dict[str, str | None]
    tasks: dict[str, dict[str, list[Task] | None]]

    def theirs(self, name: str) -> Outcome:
        """What sbatch has left, and the highest exit code."""
        job = self.jobs[name]
        if job is None:
            return REFUSED
        lines = self.cluster.ask("scontrol", "show", "job", "-o", job).splitlines()
        codes = [int(found[1]) for line in lines if (found := re.search(r" ExitCode=(\d+):", line))]
        return _seen(self.folder / "real" / name), max(codes)

    def ours(self, name: str, provider: str) -> Outcome:
        """What Flow has left."""
        tasks = self.tasks[provider][name]
        if tasks is None:
            return REFUSED
        return _seen(self.folder / provider / name), max(task.wait() for task in tasks)


def _seen(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if name not in forty.FILES and name != "job.sh":
            lines = [line for line in path.read_text().splitlines() if not line.startswith(_SIGNALLED)]
            found[_NUMBER.sub("N", name)] = _NUMBER.sub("N", _FOLDER.sub("", "\n".join(lines)))
    return found


@pytest.fixture(scope="module")
def runs(_module_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder, cluster = tmp_path_factory.mktemp("forty"), _module_cluster
    with pytest.MonkeyPatch.context() as patch:
        _surround(patch, folder, cluster)
        jobs = {name: _submitted(folder / "real" / name, name) for name in forty.PATTERNS}
        tasks: dict[str, dict[str, list[Task] | None]] = {"local": {}, "slurm": {}}
        for provider, found in tasks.items():
            for name in forty.PATTERNS:
                found[name] = _planned(patch, folder / provider / name, name, provider)
        with cluster.hasty():
            # Ten seconds on a calm machine, 230 where both cores are wanted by ten others.
            cluster.until(lambda: not cluster.ask("squeue", "-h"), "jobs are left", 480)
        patch.chdir(folder)
        for one in [one for found in tasks.values() for one in found.values() if one]:
            for task in one:
                task.wait()
        yield Runs(folder, cluster, jobs, tasks)


def _surround(patch: pytest.MonkeyPatch, folder: Path, cluster: Cluster) -> None:
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_", "FLOW_"))]:
        patch.delenv(name)
    home = folder / "home"
    home.mkdir()
    (home / "config.yaml").write_text(
        # Scripts that wait for others hold a place each.
        f"profiles:\n  local: {{max_tasks: 200}}\n  slurm: {{root: {cluster.shared}/forty}}\n"
    )
    patch.setenv("FLOW_HOME", str(home))
    patch.setenv("SLURM_CONF", str(cluster.conf))
    patch.setenv("PATH", f"{forty.stand_ins(folder / 'bin')}:{os.environ['PATH']}")


def _submitted(folder: Path, name: str) -> str | None:
    script = forty.lay_out(folder, name)
    argv = ["sbatch", "--parsable", script.name, *forty.ARGUMENTS.get(name, ())]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _planned(patch: pytest.MonkeyPatch, folder: Path, name: str, provider: str) -> list[Task] | None:
    script = forty.lay_out(folder, name)
    patch.chdir(folder)
    flow = Flow()
    try:
        found = flow.read(script.name, forty.ARGUMENTS.get(name, ()), "sbatch")
    except ConfigError:
        return None
    return flow.submit_group([flow.plan(_placed(task, provider)) for task in found])


def _placed(task: FrontendTask, provider: str) -> FrontendTask:
    """On this machine, which is small, it claims nothing but its memory."""
    claims = Resources(memory=task.config.resources.memory) if provider == "local" else task.config.resources
    return attrs.evolve(task, config=attrs.evolve(task.config, provider=provider, resources=claims))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", forty.PATTERNS)
def test_a_pattern_leaves_the_same_on_this_machine(name: str, runs: Runs) -> None:
    assert runs.ours(name, "local") == runs.theirs(name)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", forty.PATTERNS)
def test_a_pattern_leaves_the_same_on_a_cluster(name: str, runs: Runs) -> None:
    assert runs.ours(name, "slurm") == runs.theirs(name)
