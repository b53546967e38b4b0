"""A job that Slurm has forgotten is looked for in accounting, which may be away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flow_core import Flow
from flow_core.types import parse_ref
from flow_slurm import _jobs, _states
from flow_slurm._jobs import Job

from . import cluster as clusters
from .cluster import Cluster


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster with accounting, which forgets jobs seconds after their end."""
    if absent := clusters.missing(accounting=True):
        pytest.skip(f"not installed: {absent}")
    with clusters.running(accounting=True, min_job_age=2) as cluster:
        for name, value in cluster.environment.items():
            monkeypatch.setenv(name, value)
        yield cluster


def test_what_only_accounting_knows_is_no_lost_task_and_without_it_nothing_breaks(cluster: Cluster, flow: Flow) -> None:
    held = [flow.submit("true", options={"slurm": {"extra": ["-H"]}}) for _ in range(2)]
    jobs = [parse_ref(task.row.ref or "")[2].extra["job"] for task in held]
    cluster.ask("scancel", *jobs)
    cluster.until(lambda: not any(cluster.job(job) for job in jobs), "they are not forgotten", seconds=120)
    cluster.until(lambda: "CANCELLED" in cluster.ask("sacct", "-n", "-X", "-j", jobs[0]), "sacct knows nothing")
    flow.refresh([held[0].id])
    assert "by scancel" in held[0].reason
    cluster.kill("slurmdbd")
    assert flow.refresh([held[1].id]) == {}
    assert held[1].row.state == "pending"
    assert flow.run("exit 5", stream=False).exit_code == 5


@pytest.mark.parametrize(("state", "end", "code"), [("COMPLETED", "succeeded", 0), ("FAILED", "failed", None)])
def test_an_exit_code_of_accounting_is_not_believed(state: str, end: str, code: int | None) -> None:
    job = Job("1", state, 0, 0, 1.0, 2.0, 0.5, _jobs.ACCOUNTED, "node1", "flow-x")
    report = _states.report(job, None, 100.0)
    assert (report.state, report.attempts[-1].exit_code) == (end, code)
    assert "Slurm says" not in report.reason
