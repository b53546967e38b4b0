"""slurmrestd and a token, where Slurm's commands are not: the same tasks, the same ends."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from flow_core import AuthError, ConfigError, Flow, TaskRef, TransientError
from flow_core.settings import options
from flow_core.testing import order
from flow_core.types import new_request_id, parse_ref
from flow_slurm import _rest, _rest_job
from flow_slurm._settings import SlurmSettings

from .cluster import Cluster


@pytest.fixture
def root(full_cluster: Cluster, tmp_path: Path) -> Path:
    folder = full_cluster.shared / f"flow-{tmp_path.name}"
    folder.mkdir()
    return folder


@pytest.fixture
def flow(full_cluster: Cluster, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A client whose profile asks slurmrestd; the commands that are on this machine find no cluster."""
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    profile = f"{{provider: slurm, root: {root}, rest: '{full_cluster.rest_url}'}}"
    (tmp_path / "home" / "config.yaml").write_text(f"default: lab\nprofiles:\n  lab: {profile}\n")
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SLURM_JWT", full_cluster.token())
    monkeypatch.setenv("SLURM_CONF", "/dev/null")
    monkeypatch.chdir(tmp_path / "work")
    return Flow()


def comments(cluster: Cluster) -> list[str]:
    return cluster.ask("squeue", "-h", "-t", "all", "-O", "Comment:60").split()


def test_a_task_runs_with_its_gpus_and_its_exit_code_and_output_come_back(flow: Flow) -> None:
    task = flow.run("echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES; exit 3", instance_type="2xh100", stream=False)
    assert task.exit_code == 3
    assert b"".join(chunk.data for chunk in task.logs()) == b"node3 0,1\n"


def test_what_a_task_asks_for_reaches_slurm(full_cluster: Cluster, flow: Flow) -> None:
    task = flow.submit(
        "sleep 60",
        num_instances=2,
        gpu="2xa100",
        cpus=3,
        memory="500MiB",
        time_limit="90s",
        grace=0,
        options={"slurm": {"constraint": "fast", "partition": "low", "signal": "USR1@30"}},
    )
    job = full_cluster.job(parse_ref(task.row.ref or "")[2].extra["job"])
    assert (job["NumNodes"], job["CPUs/Task"], job["MinMemoryNode"]) == ("2", "3", "500M")
    assert (job["TresPerNode"], job["TimeLimit"], job["Features"]) == ("gres:gpu:a100:2", "00:03:00", "fast")
    assert job["Partition"] == "low"
    assert task.cancel(0)
    task.wait(timeout=100)
    assert task.status == "cancelled"


def test_a_waiting_task_says_why_and_is_cancelled(flow: Flow) -> None:
    first = flow.submit("sleep 60", instance_type="2xh100")
    second = flow.submit("true", instance_type="2xh100")
    flow.refresh()
    assert second.status == "pending"
    assert second.cancel(0)
    second.wait(timeout=100)
    assert (second.status, second.exit_code) == ("cancelled", None)
    first.cancel(0)
    first.wait(timeout=100)


def test_gpus_and_partitions_are_those_of_the_cluster(flow: Flow) -> None:
    assert {offer.instance_type for offer in flow.offers()} >= {"4xa100", "2xh100"}
    with pytest.raises(ConfigError, match="problem"):
        flow.plan(flow.config("true", instance_type="8xv100"))
    with pytest.raises(ConfigError, match="problem"):
        flow.plan(flow.config("true", options={"slurm": {"partition": "nosuch"}}))


def test_a_submit_is_idempotent_and_is_found_by_its_request(full_cluster: Cluster, flow: Flow, root: Path) -> None:
    provider, made = flow.provider(), order(flow, new_request_id(), "sleep 60")
    ref = provider.submit(made)
    assert provider.submit(made) == ref
    (root / made.request_id / "job").unlink()  # as if this process had been killed before it could write that
    assert provider.find([made.request_id, new_request_id()], 0.0) == {made.request_id: [ref]}
    assert provider.submit(made) == ref
    assert comments(full_cluster).count(made.request_id) == 1


def test_tasks_that_ask_the_same_are_one_request_and_each_ends_as_itself(full_cluster: Cluster, flow: Flow) -> None:
    before = set(comments(full_cluster))
    tasks = flow.submit_many([f"echo {number}; exit {number % 3}" for number in range(12)])
    assert len(set(comments(full_cluster)) - before) == 1
    assert [task.wait(timeout=100) for task in tasks] == [number % 3 for number in range(12)]
    said = [b"".join(chunk.data for chunk in task.logs()) for task in tasks]
    assert said == [b"%d\n" % number for number in range(12)]


def test_an_array_whose_answer_was_lost_is_found_whole_and_not_made_twice(
    full_cluster: Cluster, flow: Flow, root: Path
) -> None:
    provider, held = flow.provider(), {"options": {"slurm": {"extra": ["-H"]}}}
    made = [order(flow, new_request_id(), "true", **held) for _ in range(40)]
    refs = provider.submit_many(made)
    for one in made:
        (root / one.request_id / "job").unlink()
    next(root.glob("arrays/*/job")).unlink()
    assert provider.find([one.request_id for one in made], 0.0) == {name: [ref] for name, ref in refs.items()}
    assert provider.submit_many(made) == refs
    (job,) = {ref.extra["job"].partition("_")[0] for ref in refs.values() if isinstance(ref, TaskRef)}
    assert full_cluster.ask("squeue", "-h", "-o", "%F %K") == f"{job} 0-39\n"


def test_each_element_of_an_array_waits_and_is_cancelled_by_itself(full_cluster: Cluster, flow: Flow) -> None:
    tasks = flow.submit_many(["true"] * 6, options={"slurm": {"extra": ["-H"]}})
    job = parse_ref(tasks[0].row.ref or "")[2].extra["job"].partition("_")[0]
    cancelled, others = tasks[1::2], tasks[::2]
    for task in cancelled:
        task.cancel(0)
    end = {("cancelled", "cancelled before it started")}
    full_cluster.until(
        lambda: flow.refresh() or {(task.status, task.reason) for task in cancelled} == end, "they do not end"
    )
    assert {task.status for task in others} == {"pending"}
    full_cluster.ask("scontrol", "release", job)
    assert [task.wait(timeout=100) for task in others] == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "elements"),
    [("0-3,7", [0, 1, 2, 3, 7]), ("2-3%2", [2, 3]), ("0-6:3", [0, 3, 6]), ("0,2,99...", [0, 2, *range(3, 1000)])],
)
def test_what_waits_of_an_array_is_read_as_slurm_writes_it(text: str, elements: list[int]) -> None:
    assert list(_rest._elements(text)) == elements


def test_a_held_job_is_a_job(full_cluster: Cluster, flow: Flow) -> None:
    before = comments(full_cluster)
    task = flow.submit("true", options={"slurm": {"extra": ["-H"]}})
    flow.refresh()
    assert (task.status, len(comments(full_cluster))) == ("pending", len(before) + 1)


def test_what_slurm_refuses_is_told_and_leaves_nothing_behind(flow: Flow, root: Path) -> None:
    with pytest.raises(ConfigError, match="Slurm refused the job"):
        flow.submit("true", options={"slurm": {"constraint": "nosuch"}})
    assert not list(root.glob("flow-*"))


def test_an_option_that_the_interface_has_no_word_for_is_refused_before_it_is_sent(
    full_cluster: Cluster, flow: Flow
) -> None:
    before = comments(full_cluster)
    with pytest.raises(ConfigError, match="--switches=1"):
        flow.submit("true", options={"slurm": {"extra": ["--switches=1"]}})
    assert comments(full_cluster) == before


def test_a_wrong_token_is_refused_with_how_to_make_one(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = base64.urlsafe_b64encode(b'{"sun":"root","exp":1}').decode().rstrip("=")
    monkeypatch.setenv("SLURM_JWT", f"x.{claims}.x")
    with pytest.raises(AuthError, match="expired"):
        Flow().submit("true")
    monkeypatch.setenv("SLURM_JWT", "secret")
    with pytest.raises(AuthError, match="names no user") as found:
        Flow().submit("true")
    assert "secret" not in str(found.value)
    monkeypatch.setenv("SLURM_JWT", "eyJhbGciOiJIUzI1NiJ9.eyJzdW4iOiJyb290In0.x")
    with pytest.raises(TransientError, match="token"):  # this version does not say why it refuses
        Flow().submit("true")


def test_without_the_shared_folder_nothing_is_submitted(full_cluster: Cluster, flow: Flow, root: Path) -> None:
    root.rmdir()
    before = comments(full_cluster)
    with pytest.raises(ConfigError, match="shared folder"):
        flow.submit("true")
    assert comments(full_cluster) == before


def test_a_slurmrestd_that_does_not_answer_loses_nothing(full_cluster: Cluster, flow: Flow) -> None:
    task = flow.submit("echo up; sleep 1; exit 6")
    full_cluster.until(lambda: b"up\n" in b"".join(c.data for c in task.logs()), "it never runs")
    full_cluster.kill("slurmrestd")
    try:
        assert task.wait(timeout=100) == 6
        with pytest.raises(TransientError, match="does not answer"):
            flow.provider().submit(order(flow, new_request_id(), "true"))
    finally:
        full_cluster._start_rest()


@pytest.mark.parametrize("url", ["http://slurm.example.org", "ftp://127.0.0.1", "slurm.example.org"])
def test_a_token_goes_over_https_only(url: str) -> None:
    with pytest.raises(ConfigError, match="https"):
        options(SlurmSettings, {"rest": url}, "profiles.lab")


def test_the_later_form_of_the_interface_is_written_as_it_wants_it() -> None:
    argv = ["--nodes=2", "--gres=gpu:a100:2", "--mem=64M", "--time=5", "--signal=USR1@30", "--open-mode=append"]
    made = _rest_job.body(argv, "#!/bin/sh\n", "/f", {"A": "b"}, old=False)["job"]
    assert made == {
        "nodes": "2",
        "tres_per_node": "gres/gpu:a100:2",
        "memory_per_node": {"set": True, "infinite": False, "number": 64},
        "time_limit": {"set": True, "infinite": False, "number": 5},
        "kill_warning_signal": "USR1",
        "kill_warning_delay": {"set": True, "infinite": False, "number": 30},
        "open_mode": ["APPEND"],
        "current_working_directory": "/f",
        "environment": ["A=b"],
        "script": "#!/bin/sh\n",
    }
