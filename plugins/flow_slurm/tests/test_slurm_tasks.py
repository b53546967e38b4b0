"""Tasks on a real cluster: what they get, why they wait, how they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from flow_core import ConfigError, Flow, TaskReport
from flow_core.client import Task
from flow_core.testing import order
from flow_core.types import new_request_id, parse_ref

from .cluster import Cluster


def job_of(task: Task) -> str:
    return parse_ref(task.row.ref or "")[2].extra["job"]


def output(task: Task, attempt: int | None = None) -> str:
    chunks = [c for c in task.logs() if c.stream == "stdout" and attempt in (None, c.attempt)]
    return b"".join(chunk.data for chunk in chunks).decode()


def running(cluster: Cluster, task: Task) -> str:
    """Wait until a task's command runs; return its job."""
    cluster.until(lambda: b"up\n" in b"".join(c.data for c in task.logs()), f"it never runs: {task.reason}")
    return job_of(task)


def content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:  # it went between the two looks
        return b""


def refused(flow: Flow, **fields: object) -> dict[str, str]:
    with pytest.raises(ConfigError) as found:
        flow.plan(flow.config("true", **fields))  # type: ignore[arg-type]
    return {problem.path: problem.message for problem in found.value.problems}


def test_a_task_has_the_gpus_it_asked_for_and_no_others(flow: Flow) -> None:
    task = flow.run("echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES", instance_type="2xh100", stream=False)
    assert output(task) == "node3 0,1\n"


def test_nodes_cores_memory_and_time_become_directives(cluster: Cluster, flow: Flow) -> None:
    task = flow.submit(
        "echo up; sleep 60", num_instances=2, gpu="2xa100", cpus=3, memory="500MiB", time_limit="90s", grace=0
    )
    job = cluster.job(running(cluster, task))
    assert (job["NumNodes"], job["CPUs/Task"], job["MinMemoryNode"]) == ("2", "3", "500M")
    assert job["TresPerNode"].replace("/", ":") == "gres:gpu:a100:2"
    assert job["TimeLimit"] == "00:03:00"
    task.cancel(0)
    task.wait(timeout=100)


def test_partition_constraint_and_further_options_reach_slurm(cluster: Cluster, flow: Flow) -> None:
    slurm = {"partition": "low", "constraint": "fast", "licenses": "tool:1", "extra": ["--begin=now+600"]}
    task = flow.submit("true", options={"slurm": slurm})
    job = cluster.job(job_of(task))
    assert (job["Partition"], job["Features"], job["Licenses"], job["JobState"]) == ("low", "fast", "tool:1", "PENDING")
    assert "(BeginTime)" in task.reason
    task.cancel()
    task.wait(timeout=100)
    assert (task.status, task.reason) == ("cancelled", "cancelled before it started")


def test_gpus_that_are_not_there_are_refused_with_those_that_are(flow: Flow) -> None:
    assert refused(flow, instance_type="1xv100") == {
        "instance_type": "1 x v100 on a node: here there are 2 nodes with 4 x a100, 1 node with 2 x h100"
    }
    assert "2 nodes with 4 x a100" in refused(flow, instance_type="8xa100")["instance_type"]
    assert "1 node with 2 x h100" in refused(flow, instance_type="2xh100", num_instances=2)["num_instances"]


def test_what_would_wait_for_ever_is_refused(flow: Flow) -> None:
    debug = {"slurm": {"partition": "debug"}}
    assert "for ever" in refused(flow, time_limit="2h", options=debug)["time_limit"]
    assert "nodes" in refused(flow, num_instances=2, options=debug)["num_instances"]
    assert "8" in refused(flow, cpus=64)["resources.cpus"]
    assert "15.6 GiB" in refused(flow, memory="1TiB")["resources.memory"]


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"partitoin": "main"}, "options.slurm.partitoin"),
        ({"partition": "nope"}, "options.slurm.partition"),
        ({"qos": "two words"}, "options.slurm.qos"),
        ({"extra": ["--comment=x"]}, "options.slurm.extra"),
        ({"extra": ["-o/dev/null"]}, "options.slurm.extra"),
        ({"extra": ["--wra=x"]}, "options.slurm.extra"),
        ({"extra": ["no dash"]}, "options.slurm.extra"),
        ({"time": -5}, "options.slurm.time"),
    ],
)
def test_options_are_checked_before_anything_is_sent(flow: Flow, options: dict[str, object], path: str) -> None:
    assert list(refused(flow, options={"slurm": options})) == [path]


def test_what_slurm_refuses_leaves_nothing_behind(flow: Flow, root: Path) -> None:
    with pytest.raises(ConfigError, match=r"Slurm refused the job: .*reservation"):
        flow.submit("true", options={"slurm": {"reservation": "nope"}})
    assert list(root.glob("flow-*")) == []


def test_a_preview_has_the_script_and_slurms_verdict_and_submits_nothing(cluster: Cluster, flow: Flow) -> None:
    before = cluster.ask("squeue", "-h", "-t", "all")
    shown = flow.preview(flow.plan(flow.config("true", gpu="2xh100")))
    assert "--gres=gpu:h100:2" in shown["sbatch"]
    assert "srun" in shown["script"]
    assert "to start at" in shown["slurm"]
    assert cluster.ask("squeue", "-h", "-t", "all") == before


def test_a_job_that_is_ended_by_scancel_says_so(cluster: Cluster, flow: Flow) -> None:
    task = flow.submit("echo up; sleep 60")
    cluster.ask("scancel", running(cluster, task))
    task.wait(timeout=100)
    assert "cancelled by scancel" in task.reason


def test_a_node_that_fails_begins_another_attempt_and_logs_are_kept(cluster: Cluster, flow: Flow) -> None:
    task = flow.submit('echo up; test "$FLOW_ATTEMPT" = 2 || sleep 60')
    job = running(cluster, task)
    node = cluster.job(job)["NodeList"]
    cluster.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    cluster.ask("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")  # else it comes back at once
    with cluster.hasty():
        assert task.wait(timeout=100) == 0
    assert [attempt.state for attempt in task.attempts] == ["preempted", "succeeded"]
    assert (output(task, 1), output(task, 2)) == ("up\n", "up\n")


def test_a_node_that_fails_ends_a_task_that_may_not_start_again(cluster: Cluster, flow: Flow) -> None:
    task = flow.submit("echo up; sleep 60", max_preemptions=0)
    job = running(cluster, task)
    cluster.ask("scontrol", "update", f"nodename={cluster.job(job)['NodeList']}", "state=down", "reason=test")
    task.wait(timeout=100)
    assert (task.status, task.reason.partition(":")[0]) == ("failed", "a node failed under it (node1)")


def test_a_preempted_task_is_told_and_starts_again(cluster: Cluster, flow: Flow) -> None:
    low = {"slurm": {"partition": "low"}}
    command = "trap 'echo told; exit 9' TERM; echo up; test $FLOW_ATTEMPT = 2 || while :; do sleep 0.1; done"
    task = flow.submit(command, num_instances=3, cpus=8, options=low)
    running(cluster, task)
    assert flow.run("true", cpus=8, stream=False).exit_code == 0
    with cluster.hasty():
        assert task.wait(timeout=100) == 0
    assert [attempt.state for attempt in task.attempts] == ["preempted", "succeeded"]
    assert "told\n" in output(task, 1)
    assert output(task, 2) == "up\n" * 3


def test_a_task_whose_dependency_failed_says_so(flow: Flow) -> None:
    first = flow.run("exit 1", stream=False)
    second = flow.submit("echo never", depends_on=[first.id])
    second.wait(timeout=100)
    assert (second.status, second.reason) == ("failed", "a task that it depends on did not succeed")


def test_a_task_over_its_memory_says_so(flow: Flow) -> None:
    task = flow.submit("exec python3 -c 'b = bytearray(600 * 2**20); input()' < /dev/zero", memory="100MiB")
    task.wait(timeout=100)
    assert task.status == "failed"
    assert "memory" in task.reason


def test_a_secret_is_in_no_file_but_one_and_not_after_the_end(
    cluster: Cluster, flow: Flow, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_SECRET", "zf7-hidden-81")
    task = flow.submit("echo up; read x < /dev/zero", secrets=["TEST_SECRET"])
    job = running(cluster, task)

    def holding() -> list[str]:
        return [path.name for path in root.rglob("*") if b"zf7-hidden-81" in content(path)]

    assert holding() == ["secrets"]
    assert "zf7" not in cluster.ask("scontrol", "write", "batch_script", job, "-")
    task.cancel(0)
    task.wait(timeout=100)
    cluster.until(lambda: not holding(), "the secret is still there")


def test_many_are_one_array_and_each_ends_as_itself(cluster: Cluster, flow: Flow) -> None:
    orders = [order(flow, new_request_id(), f"echo {number}; exit {number}", name="many") for number in range(5)]
    provider = flow.provider()
    refs = provider._call("flow_provision_submit_many", submissions=orders)
    assert len({ref.id.partition("_")[0] for ref in refs.values()}) == 1
    assert provider.find([one.request_id for one in orders], 0.0) == {name: [ref] for name, ref in refs.items()}
    reports: dict[str, TaskReport] = {}

    def ended() -> bool:
        found = provider.status(list(refs.values()))
        reports.update({name: found[ref] for name, ref in refs.items() if ref in found})
        return len(reports) == 5 and all(report.is_final for report in reports.values())

    cluster.until(ended, "they do not end")
    assert [reports[one.request_id].attempts[-1].exit_code for one in orders] == list(range(5))


def test_offers_name_partitions_with_their_limits(flow: Flow) -> None:
    notes = [offer.note for offer in flow.offers()]
    assert "partition main, debug (30m), low; 4 of 4 GPUs free" in notes
