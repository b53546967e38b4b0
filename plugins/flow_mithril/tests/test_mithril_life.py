"""The life of tasks and machines: ends without a client, time limits of machines, preemption."""

from __future__ import annotations

from click.testing import CliRunner

from flow_core.secrets import Secret
from flow_core.types import new_request_id
from flow_mithril._api import Api
from flow_mithril._commands import mithril
from flow_mithril.testing import Double

from .booted import PATIENCE, Make, begun, bid, bid_status, fid, live_keys, machine, output, until


def test_what_was_fetched_lets_the_machine_go_and_is_there_afterwards(platform: Double, booted: Make) -> None:
    task = booted().submit("echo out; echo err >&2; exit 3")

    assert task.wait(PATIENCE) == 3
    assert bid_status(platform, task) == "Terminated"
    assert output(task) == b"out\n"


def test_with_a_minted_key_the_users_own_never_comes_to_the_machine(platform: Double, booted: Make) -> None:
    task = begun(booted(self_release="key").submit("sleep 60"))
    look = "grep -rlsF {} /var/lib /home /etc /root /tmp /opt || true"
    found = platform.control("machine", instance=machine(platform, task), do="run", command=look.format("fkey_test"))
    mine = platform.control("machine", instance=machine(platform, task), do="run", command=look.format("fkey_"))

    assert found["stdout"].split() == []
    assert mine["stdout"].split() == ["/var/lib/flow/release.key"]
    assert [name for name in live_keys(platform) if name.endswith("-release")] == [
        f"{bid(platform, task)['name']}-release"
    ]
    task.cancel(0.0)
    task.wait(PATIENCE)
    assert not [name for name in live_keys(platform) if name.endswith("-release")]


def test_an_end_that_nobody_fetches_is_held_then_paused_and_resumed_for_its_logs(
    platform: Double, booted: Make
) -> None:
    flow = booted(self_release="key", hold="2s")
    task = begun(flow.submit("echo kept; sleep 1; exit 5"))

    until(lambda: bid_status(platform, task) == "Paused", "the machine is never paused")
    assert task.status == "running"
    assert "paused" in task.reason
    done = CliRunner().invoke(mithril, ["resume", task.id])
    assert done.exit_code == 0, done.output
    assert task.wait(PATIENCE) == 5
    assert output(task) == b"kept\n"
    assert bid_status(platform, task) == "Terminated"


def test_a_machine_that_is_held_for_logs_that_are_too_large_is_given_back_by_its_tasks_name(
    platform: Double, booted: Make
) -> None:
    flow = booted(fetch_bytes=10)
    task = flow.submit("echo these are more than ten bytes")
    assert task.wait(PATIENCE) == 0
    assert (bid_status(platform, task), "fetch_bytes" in task.reason or "10 bytes" in task.reason) == (
        "Allocated",
        True,
    )

    assert flow.release_machine(task.id)
    assert bid_status(platform, task) == "Terminated"
    assert not flow.release_machine(task.id)


def test_without_a_key_the_machine_switches_itself_off(platform: Double, booted: Make) -> None:
    task = begun(booted(hold="1s").submit("sleep 1"))

    until(
        lambda: not platform.control("machine", instance=machine(platform, task))["alive"], "the machine is never off"
    )


def test_a_machine_ends_when_its_time_is_over_whatever_its_task_does(platform: Double, booted: Make) -> None:
    task = begun(booted(self_release="key", max_lifetime="8s").submit("trap '' TERM; sleep 1000", grace=1.0))

    until(lambda: bid_status(platform, task) == "Terminated", "the machine outlives its time")


def test_a_preempted_task_is_told_and_goes_on_when_there_is_a_machine_again(platform: Double, booted: Make) -> None:
    command = "trap 'echo told $FLOW_ATTEMPT' USR1; echo try $FLOW_ATTEMPT; [ $FLOW_ATTEMPT = 2 ] && exit 0; while :; do sleep 0.2; done"
    task = begun(booted().submit(command, preempt_signal="USR1"))
    platform.control("preempt", bid=fid(task), notice=4.0, again_after=1.0)

    assert task.wait(PATIENCE) == 0
    assert [(one.number, one.state) for one in task.attempts] == [(1, "preempted"), (2, "succeeded")]
    assert task.attempts[0].preempt_notice_at is not None
    assert output(task, attempt=1) == b"try 1\ntold 1\n"
    assert output(task, attempt=2) == b"try 2\n"


def test_a_task_is_preempted_twice_and_no_more_often_than_it_may_be(platform: Double, booted: Make) -> None:
    task = begun(booted().submit("echo try $FLOW_ATTEMPT; sleep 1000", max_preemptions=1))
    for attempt in (1, 2):
        until(lambda attempt=attempt: output(task).count(b"try") == attempt, "it does not begin")
        platform.control("preempt", bid=fid(task), notice=1.0, again_after=0.5)
        until(lambda: bid_status(platform, task) != "Preempting", "it is not taken")
    until(lambda: task.refresh().is_final, "it never ends")

    assert task.status == "preempted"
    assert [one.state for one in task.attempts] == ["preempted", "preempted"]


def test_a_task_that_is_preempted_twice_completes_at_its_third_attempt(platform: Double, booted: Make) -> None:
    task = begun(booted().submit("echo try $FLOW_ATTEMPT; [ $FLOW_ATTEMPT = 3 ] || sleep 1000"))
    for attempt in (1, 2):
        until(lambda attempt=attempt: output(task).count(b"try") == attempt, "it does not begin")
        platform.control("preempt", bid=fid(task), notice=1.0, again_after=0.5)
        until(lambda: bid_status(platform, task) != "Preempting", "it is not taken")

    assert task.wait(PATIENCE) == 0
    assert [one.state for one in task.attempts] == ["preempted", "preempted", "succeeded"]
    assert output(task) == b"try 1\ntry 2\ntry 3\n"


REDUCE = """
import os, socket, time
rank, place = int(os.environ["RANK"]), (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if rank == 0:
    with socket.create_server(("", place[1])) as door:
        line, _ = door.accept()
        line.sendall(b"%d" % (1 + int(line.recv(10))))
else:
    for _ in range(300):
        try:
            line = socket.create_connection(place, 5)
            break
        except OSError:
            time.sleep(0.1)
    line.sendall(b"41")
    print("sum", line.recv(10).decode(), "of", os.environ["WORLD_SIZE"], "nodes", os.environ["FLOW_NODE_IPS"].count("."))
"""


def test_two_machines_find_each_other_and_work_together(platform: Double, booted: Make) -> None:
    flow = booted()
    (flow.session.cwd / "reduce.py").write_text(REDUCE)
    task = flow.submit("python3 reduce.py", num_instances=2)

    assert task.wait(PATIENCE) == 0
    assert output(task, rank=1) == b"sum 42 of 2 nodes 6\n"
    assert bid(platform, task)["instance_quantity"] == 2


def test_a_cancelled_bid_that_waits_is_ended_at_once(platform: Double, booted: Make) -> None:
    platform.control("capacity", instance_type="a100-80gb.sxm.2x", capacity=0)
    task = booted().submit("true", instance_type="2xa100")
    assert task.status == "pending"
    assert "waits for capacity" in task.reason

    assert task.cancel()
    assert task.wait(PATIENCE) == 130
    assert bid_status(platform, task) == "Terminated"
    platform.control("capacity", instance_type="a100-80gb.sxm.2x", capacity=8)


def test_what_no_task_accounts_for_is_swept(platform: Double, booted: Make) -> None:
    task = begun(booted().submit("sleep 600"))
    with platform.world.lock:
        known = dict(platform.world.table("bids")[fid(task)])
    api = Api(platform.url, Secret(platform.settings.api_key))  # type: ignore[arg-type]
    keys = ("project", "region", "instance_type", "limit_price", "instance_quantity", "launch_specification")
    late = api.post("spot/bids", {**{key: known[key] for key in keys}, "name": new_request_id()})["fid"]

    listed = CliRunner().invoke(mithril, ["sweep"]).output
    assert f"machine  {late}" in listed
    assert fid(task) not in listed
    assert api.get(f"spot/bids/{late}")["status"] == "Allocated"

    CliRunner().invoke(mithril, ["sweep", "--yes"])
    assert api.get(f"spot/bids/{late}")["status"] == "Terminated"
    assert bid_status(platform, task) == "Allocated"


def test_a_machine_without_gpus_is_set_up_over_ssh_and_ended(platform: Double, booted: Make) -> None:
    task = booted().submit("whoami; exit 3", instance_type="4xcpu")
    assert fid(task).startswith("inst_")

    assert task.wait(PATIENCE) == 3
    assert output(task) == b"ubuntu\n"
    with platform.world.lock:
        live = [row["fid"] for row in platform.world.all("instances") if row["status"] == "STATUS_RUNNING"]
    assert fid(task) not in live
    assert CliRunner().invoke(mithril, ["sweep"]).stdout == ""
