"""Whatever dies on the way: nothing is lost, nothing runs twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flow_core import Flow, FlowError, StateError, Submission, TaskRef, TransientError
from flow_core.client import Task
from flow_core.testing import order
from flow_core.types import new_request_id, parse_ref

from .cluster import Cluster
from .sshd import Sshd


def comments(cluster: Cluster) -> list[str]:
    """The request ids of all jobs that the cluster knows."""
    found = cluster.ask("squeue", "-h", "-t", "all", "-O", "Comment:60").split()
    return [word for word in found if word.startswith("flow-")]


def job_of(task: Task) -> str:
    return parse_ref(task.row.ref or "")[2].extra["job"]


def output(task: Task) -> bytes:
    return b"".join(chunk.data for chunk in task.logs())


def settled(flow: Flow, root: Path, made: Submission) -> TaskRef:
    """Submit what was of unknown outcome, as if that had been long ago."""
    long_ago = time.time() - 60
    if (called := root / made.request_id / "called").exists():
        os.utime(called, (long_ago, long_ago))
    return flow.provider().submit(made)


def test_the_end_of_a_task_is_known_while_the_controller_is_dead(cluster: Cluster, flow: Flow) -> None:
    task = flow.submit("echo up; until [ -e go ]; do sleep 0.05; done; exit 4")
    cluster.until(lambda: output(task) == b"up\n", "it never runs")
    cluster.kill("slurmctld")
    try:
        Path("go").touch()
        assert task.wait(timeout=100) == 4
    finally:
        cluster.start_controller()


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    """What breaks here is nobody else's."""
    return own_cluster


def forgotten(cluster: Cluster, flow: Flow) -> tuple[str, TaskRef]:
    """Submit a task, and have the controller killed before it has saved the job; return its request and reference."""
    for _ in range(10):
        made = order(flow, new_request_id(), "sleep 60", options={"slurm": {"extra": ["-H"]}})
        ref = flow.provider().submit(made)
        cluster.kill("slurmctld")
        cluster.start_controller()
        if made.request_id not in comments(cluster):
            return made.request_id, ref
    raise AssertionError("the controller saves every job at once")


def test_a_job_that_a_killed_controller_forgot_is_not_taken_for_the_next_of_its_id(
    cluster: Cluster, flow: Flow
) -> None:
    provider = flow.provider()
    for _ in range(5):  # the controller may have saved how far its numbers are
        request, ref = forgotten(cluster, flow)
        second = order(flow, new_request_id(), "sleep 60", options={"slurm": {"extra": ["-H"]}})
        taken = provider.submit(second)
        if ref.extra["job"] == taken.extra["job"]:
            break
    assert ref.extra["job"] == taken.extra["job"]
    assert provider.find([request, second.request_id], 0.0) == {second.request_id: [taken]}
    time.sleep(1.1)  # what was accepted after Slurm was asked last is believed for so long
    assert list(provider.status([ref, taken])) == [taken]


def test_a_submit_to_a_dead_controller_is_of_unknown_outcome_and_made_again_once_it_is_sure_that_there_is_no_job(
    cluster: Cluster, flow: Flow, root: Path
) -> None:
    made = order(flow, new_request_id(), "sleep 60")
    cluster.kill("slurmctld")
    with pytest.raises(TransientError):
        flow.provider().submit(made)
    cluster.start_controller()
    with pytest.raises(TransientError, match="earlier command"):
        flow.provider().submit(made)
    assert flow.provider().find([made.request_id], 0.0) == {}
    assert made.request_id not in comments(cluster)
    ref = settled(flow, root, made)
    assert flow.provider().submit(made) == ref
    assert comments(cluster).count(made.request_id) == 1


def test_a_crashed_node_is_another_attempt(cluster: Cluster, flow: Flow) -> None:
    task = flow.submit('echo up; test "$FLOW_ATTEMPT" = 2 || sleep 100')
    cluster.until(lambda: output(task) == b"up\n", "it never runs")
    node = cluster.job(parse_ref(task.row.ref or "")[2].extra["job"])["NodeList"]
    cluster.crash(node)
    cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    with cluster.hasty():
        assert task.wait(timeout=100) == 0
    assert [attempt.state for attempt in task.attempts] == ["preempted", "succeeded"]


def test_a_rank_that_slurm_cannot_start_is_a_failure_that_says_so(cluster: Cluster, flow: Flow) -> None:
    cluster.kill("node2")
    task = flow.submit("echo $FLOW_NODE_RANK", num_instances=2, instance_type="2xa100")
    job = parse_ref(task.row.ref or "")[2].extra["job"]
    cluster.until(lambda: cluster.job(job)["JobState"] in ("COMPLETING", "FAILED"), "srun does not give up")
    cluster.start_node("node2")  # else Slurm waits for it before the job is over
    assert task.wait(timeout=100) != 0
    assert "failed on node node2: Communication connection failure" in task.reason
    assert [node.state for node in task.attempts[-1].nodes] == ["succeeded", "failed"]
    assert b"".join(chunk.data for chunk in task.logs()) == b"0\n"


def test_a_node_whose_daemon_dies_goes_on_with_its_task(cluster: Cluster, flow: Flow) -> None:
    task = flow.submit("echo up; until [ -e go ]; do sleep 0.05; done; echo down; exit 6")
    cluster.until(lambda: output(task) == b"up\n", "it never runs")
    node = cluster.job(job_of(task))["NodeList"]
    cluster.kill(node)
    Path("go").touch()
    assert task.wait(timeout=100) == 6
    cluster.start_node(node)
    cluster.until(lambda: cluster.job(job_of(task))["JobState"] == "FAILED", "the job does not end")
    flow.refresh()
    assert (task.exit_code, len(task.attempts), output(task)) == (6, 1, b"up\ndown\n")


def test_a_task_that_was_killed_on_a_node_whose_daemon_is_dead_has_ended(cluster: Cluster, flow: Flow) -> None:
    task = flow.submit("echo up; until [ -e go ]; do sleep 0.05; done; kill -9 $$")
    cluster.until(lambda: output(task) == b"up\n", "it never runs")
    cluster.kill(cluster.job(job_of(task))["NodeList"])
    Path("go").touch()
    assert task.wait(timeout=100) == 137
    assert cluster.job(job_of(task))["JobState"] == "COMPLETING"
    assert flow.queue() == []


def test_without_munge_nothing_is_lost(cluster: Cluster, flow: Flow) -> None:
    task = flow.submit("echo up; until [ -e go ]; do sleep 0.05; done; echo down; exit 6")
    cluster.until(lambda: output(task) == b"up\n", "it never runs")
    cluster.kill("munged", signal.SIGTERM)
    try:
        Path("go").touch()
        assert task.wait(timeout=100) == 6
        assert output(task) == b"up\ndown\n"
    finally:
        cluster.start_munge()
    flow.refresh()
    assert (task.exit_code, len(task.attempts), len(comments(cluster))) == (6, 1, 1)


def test_a_submit_without_munge_is_made_once_when_it_is_back(cluster: Cluster, flow: Flow, root: Path) -> None:
    made = order(flow, new_request_id(), "exit 3")
    flow.provider().check(made.config)  # what the cluster has is known before
    cluster.kill("munged", signal.SIGTERM)
    try:
        with pytest.raises(TransientError, match="not known"):
            flow.provider().submit(made)
    finally:
        cluster.start_munge()
    assert settled(flow, root, made) == settled(flow, root, made)
    assert comments(cluster) == [made.request_id]


def test_a_client_killed_at_any_moment_leaves_one_job_or_none(cluster: Cluster, home: Path) -> None:
    argv = [sys.executable, "-m", "flow_core", "run", "-d", "-o", "slurm.partition=main", "echo ran"]
    before = comments(cluster)
    for _ in range(8):
        client = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.2, 1.0))
        client.kill()
        client.wait()
    flow = Flow()
    cluster.until(lambda: flow.refresh() == {}, "the cluster does not answer")
    cluster.until(lambda: not cluster.clients(), "an sbatch that went on alone does not end")
    found = [comment for comment in comments(cluster) if comment not in before]
    assert len(found) == len(set(found))

    def adopted() -> bool:
        flow.refresh()
        return set(found) <= {(t.row.ref or "").partition("?")[0].rpartition("/")[2] for t in flow.tasks(limit=None)}

    cluster.until(adopted, "a job is nobody's")
    for task in flow.tasks(limit=None):
        if task.row.ref:
            task.wait(timeout=100)
            assert b"".join(chunk.data for chunk in task.logs()) == b"ran\n"


def test_a_full_shared_folder_refuses_before_anything_is_submitted(cluster: Cluster, flow: Flow, root: Path) -> None:
    before = comments(cluster)
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", root], check=True)
    try:
        subprocess.run(["dd", "if=/dev/zero", f"of={root}/filler", "bs=4096"], capture_output=True, check=False)
        with pytest.raises(StateError, match="space"):
            flow.submit("true")
        assert comments(cluster) == before
        (root / "filler").unlink()
        assert flow.run("exit 3", stream=False).exit_code == 3
    finally:
        subprocess.run(["umount", "-l", root], check=True)


def test_a_folder_that_fills_up_under_a_task_hides_no_end(cluster: Cluster, flow: Flow, root: Path) -> None:
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", root], check=True)
    try:
        task = flow.submit("echo up; until [ -e go ]; do sleep 0.05; done; exit 5")
        cluster.until(lambda: output(task) == b"up\n", "it never runs")
        subprocess.run(["dd", "if=/dev/zero", f"of={root}/filler", "bs=4096"], capture_output=True, check=False)
        Path("go").touch()
        assert task.wait(timeout=100) == 5
        (root / "filler").unlink()
        cluster.until(lambda: cluster.job(job_of(task))["JobState"] == "FAILED", "the job does not end")
        flow.refresh()
        assert (task.exit_code, len(task.attempts), output(task)) == (5, 1, b"up\n")
    finally:
        subprocess.run(["umount", "-l", root], check=True)


def far(cluster: Cluster, tmp_path: Path, login_node: Sshd, home: Path) -> None:
    """Have the cluster behind a login node."""
    import yaml

    profile = {"provider": "slurm", "root": str(tmp_path / "far"), **login_node.settings(cluster.environment)}
    (home / "config.yaml").write_text(yaml.safe_dump({"default": "far", "profiles": {"far": profile}}))
    for name in cluster.environment:
        os.environ.pop(name)


def test_a_cut_connection_loses_no_byte_and_no_task(
    cluster: Cluster, tmp_path: Path, login_node: Sshd, home: Path
) -> None:
    far(cluster, tmp_path, login_node, home)
    task = Flow().submit("for n in 1 2 3 4 5 6 7 8 9; do echo $n; sleep 0.3; done; exit 5")
    seen = b""
    for chunk in task.logs(follow=True):
        seen += chunk.data
        if b"3\n" in seen and b"4\n" not in seen:
            login_node.cut()
    assert seen == b"".join(b"%d\n" % n for n in range(1, 10))
    assert task.wait(timeout=100) == 5


def test_a_connection_cut_while_submitting_leaves_one_job_or_none(
    cluster: Cluster, tmp_path: Path, login_node: Sshd, home: Path
) -> None:
    far(cluster, tmp_path, login_node, home)
    flow = Flow()
    made = [order(flow, new_request_id(), "sleep 60", options={"slurm": {"extra": ["-H"]}}) for _ in range(6)]
    with ThreadPoolExecutor() as pool:
        for one in made:
            asked = pool.submit(flow.provider().submit, one)
            while not asked.done():
                time.sleep(random.uniform(0.0, 0.4))
                login_node.cut()
            assert asked.exception() is None or isinstance(asked.exception(), FlowError)
    refs = {one.request_id: settled(flow, tmp_path / "far", one) for one in made}
    assert sorted(comments(cluster)) == sorted(refs)
    assert flow.provider().find(list(refs), 0.0) == {name: [ref] for name, ref in refs.items()}
