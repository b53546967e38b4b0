"""Tasks that ask the same of the cluster go to it together: one sbatch call, one array."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flow_core import ConfigError, Flow, FrontendTask, TaskConfig, TransientError
from flow_core.types import parse_ref
from flow_slurm._slurm import LocalCommands

from .cluster import Cluster

_DYING = """
import os, signal
from flow_core import Flow
from flow_core.journal import Journal
def die(*_arguments, **_named):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(Journal, "{method}", die)
Flow().submit_many(["echo " + str(n) for n in range(5)])
"""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The calls of sbatch that follow."""
    seen: list[list[str]] = []
    submit = LocalCommands.submit

    def counted(commands: LocalCommands, folder: str, argv: list[str]) -> str | None:
        seen.append(argv)
        return submit(commands, folder, argv)

    monkeypatch.setattr(LocalCommands, "submit", counted)
    return seen


def jobs_of(flow: Flow) -> set[str]:
    """The numbers of the jobs of all tasks."""
    return {parse_ref(task.row.ref or "")[2].extra["job"] for task in flow.tasks(limit=None)}


def said(flow: Flow) -> list[str]:
    return sorted(b"".join(c.data for c in task.logs()).decode().strip() for task in flow.tasks(limit=None))


def test_a_dozen_tasks_are_one_call_of_sbatch(cluster: Cluster, flow: Flow, calls: list[list[str]]) -> None:
    tasks = flow.submit_many([f"echo {number}; exit {number % 3}" for number in range(12)])
    assert len(calls) == 1
    assert {job.partition("_")[0] for job in jobs_of(flow)} == {parse_ref(tasks[0].row.ref or "")[2].extra["job"][:-2]}
    assert [task.wait(timeout=100) for task in tasks] == [number % 3 for number in range(12)]
    assert said(flow) == sorted(map(str, range(12)))


def test_the_tasks_of_a_file_are_one_array_and_know_their_group(flow: Flow, calls: list[list[str]]) -> None:
    plans = [flow.plan(FrontendTask(TaskConfig(command="echo $N $FLOW_GROUP", env={"N": n}))) for n in "abc"]
    first, *others = flow.submit_group(plans)
    assert [task.wait(timeout=100) for task in (first, *others)] == [0, 0, 0]
    assert len(calls) == 1
    assert said(flow) == sorted(["a", f"b {first.id}", f"c {first.id}"])
    assert {task.id for task in flow.tasks(label=f"group={first.id}")} == {task.id for task in others}


def test_tasks_that_ask_for_different_things_are_submitted_by_themselves(flow: Flow, calls: list[list[str]]) -> None:
    plans = [flow.plan(FrontendTask(TaskConfig(command="true", num_instances=n))) for n in (1, 2)]
    assert [task.wait(timeout=100) for task in flow.submit_group(plans)] == [0, 0]
    assert len(calls) == 2


@pytest.mark.parametrize(("method", "count"), [("mark_accepted_all", 5), ("mark_calling", 0)])
def test_a_client_that_dies_around_the_call_leaves_all_of_them_or_none(
    cluster: Cluster, flow: Flow, method: str, count: int
) -> None:
    program = [sys.executable, "-c", _DYING.format(method=method)]
    assert subprocess.run(program, check=False, timeout=100).returncode == -signal.SIGKILL
    flow.refresh()
    tasks = [task for task in flow.tasks(limit=None) if task.row.ref]
    assert (len(tasks), len(flow.tasks(limit=None))) == (count, 5)
    assert [task.wait(timeout=100) for task in tasks] == [0] * count
    assert [task.status for task in flow.tasks(limit=None)] == ["succeeded" if count else "cancelled"] * 5


def test_an_array_of_unknown_outcome_is_looked_for(
    cluster: Cluster, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = LocalCommands.submit

    def cut(commands: LocalCommands, folder: str, argv: list[str]) -> None:
        submit(commands, folder, argv)
        raise TransientError("the connection was cut")

    monkeypatch.setattr(LocalCommands, "submit", cut)
    tasks = flow.submit_many(["exit 0", "exit 1"])
    assert [task.wait(timeout=100) for task in tasks] == [0, 1]


def test_an_array_that_slurm_refuses_is_refused_for_each(flow: Flow, root: Path) -> None:
    with pytest.raises(ConfigError, match="refused 2 of 2") as found:
        flow.submit_many(["true", "false"], options={"slurm": {"constraint": "nosuch"}})
    assert "Slurm refused the job" in found.value.problems[0].message
    assert {task.status for task in flow.tasks()} == {"failed"}
    assert not list(root.glob("flow-*"))


def test_an_element_that_is_cancelled_while_it_waits_is_cancelled_and_the_others_run(
    cluster: Cluster, flow: Flow
) -> None:
    tasks = flow.submit_many(["true"] * 3, options={"slurm": {"extra": ["-H"]}})
    tasks[1].cancel(0)
    tasks[1].wait(timeout=100)
    assert (tasks[1].status, tasks[1].reason) == ("cancelled", "cancelled before it started")
    cluster.ask("scontrol", "release", *{job.partition("_")[0] for job in jobs_of(flow)})
    assert [task.wait(timeout=100) for task in tasks[::2]] == [0, 0]
