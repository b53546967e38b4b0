"""A kept machine is the next task's, and goes when there is none."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from flow_core import Flow
from flow_core.client import Task
from flow_core.errors import ConfigError
from flow_core.types import LIVE_STATES, VolumeSpec, parse_ref
from flow_mithril._records import Records
from flow_mithril.testing import Double

from .booted import PATIENCE, Make, begun, bid_status, live_keys, output, until


def order(task: Task) -> str:
    assert task.row.ref is not None
    return parse_ref(task.row.ref)[2].id.partition("+")[0]


def status(platform: Double, task: Task) -> str:
    platform.settle()
    with platform.world.lock:
        return str(platform.world.table("bids")[order(task)]["status"])


def kept(flow: Flow, command: str = "echo first", keep: float = 120.0) -> Task:
    task = flow.submit(command, keep=keep)
    task.wait(PATIENCE)
    return task


def test_the_next_task_runs_on_the_kept_machine_which_ends_with_it(platform: Double, booted: Make) -> None:
    flow = booted(self_release="key")
    first = kept(flow, "echo first; exit 3")
    assert first.exit_code == 3
    assert status(platform, first) == "Allocated"
    second = flow.submit("echo second $FLOW_TASK_ID")

    assert second.wait(PATIENCE) == 0
    assert order(second) == order(first)
    assert second.row.ref != first.row.ref
    assert output(second) == f"second {second.id}\n".encode()
    assert output(first) == b"first\n"
    assert status(platform, second) == "Terminated"
    assert not [key for key in live_keys(platform) if key.endswith("-release")]


def test_a_kept_machine_that_nobody_takes_gives_itself_back(platform: Double, booted: Make) -> None:
    flow = booted(self_release="key")
    task = kept(flow, keep=2.0)

    until(lambda: bid_status(platform, task) == "Terminated", "the machine is kept for ever")


def test_of_two_clients_at_once_one_gets_the_kept_machine(platform: Double, booted: Make) -> None:
    flow = booted(self_release="key")
    first = kept(flow)
    clients = [Flow(cwd=flow.session.cwd) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda client: client.submit("echo $FLOW_TASK_ID"), clients))

    assert [task.wait(PATIENCE) for task in both] == [0, 0]
    assert [order(task) == order(first) for task in both].count(True) == 1
    assert [output(task) for task in both] == [f"{task.id}\n".encode() for task in both]


def test_cancelling_the_next_task_leaves_the_first_as_it_was_and_ends_the_machine(
    platform: Double, booted: Make
) -> None:
    flow = booted(self_release="key")
    first = kept(flow)
    second = begun(flow.submit("sleep 1000"))
    assert flow.provider().release(parse_ref(first.row.ref)[2]) is False  # type: ignore[arg-type]
    assert status(platform, first) == "Allocated"
    assert second.cancel(0.0)

    assert second.wait(PATIENCE)
    assert second.status == "cancelled"
    assert first.status == "succeeded"
    until(lambda: status(platform, first) == "Terminated", "the machine stays")


def test_a_taken_machine_is_found_again_by_the_task_whose_client_was_killed(platform: Double, booted: Make) -> None:
    flow = booted(self_release="key")
    first = kept(flow)
    second = flow.submit("echo once")
    ref = parse_ref(second.row.ref)[2]  # type: ignore[arg-type]
    Records().change(ref.id.partition("+")[2], fid="")  # as a client leaves it that is killed after the claim

    assert [found.id for found in flow.provider().find([ref.id.partition("+")[2]], 0.0).popitem()[1]] == [ref.id]
    assert second.wait(PATIENCE) == 0
    assert output(second) == b"once\n"
    assert order(second) == order(first)


DYING = """
import os, signal, sys
import flow
from flow_core import nodes
from flow_mithril._records import Records

left = int(sys.argv[1])

def dying(call):
    def counted(*args, **kwargs):
        global left
        try:
            return call(*args, **kwargs)
        finally:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    return counted

for place, name in ((Records, "change"), (Records, "hold"), (Records, "cool"), (nodes, "run"), (nodes, "deliver")):
    setattr(place, name, dying(getattr(place, name)))
flow.submit(sys.argv[2], keep=120.0)
"""
ALONE = "echo begin >>/var/tmp/log; sleep 0.2; echo end >>/var/tmp/log"


def test_wherever_a_client_is_killed_that_takes_a_machine_it_has_one_task_and_is_listed(
    platform: Double, booted: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = booted(self_release="key", settle="1s")
    monkeypatch.setattr(type(flow.session.journal), "due_for_reconcile", lambda *_: True)  # else every 10 s
    kept(flow, ALONE)
    status, instant, runs = -signal.SIGKILL, 0, 1
    while status == -signal.SIGKILL:
        instant += 1
        child = subprocess.run([sys.executable, "-c", DYING, str(instant), ALONE], cwd=flow.session.cwd, check=False)
        status = child.returncode
        until(lambda: flow.refresh() == {} and not flow.session.journal.unfinished(), "it is never known what became")
        live = [task.wait(PATIENCE) for task in flow.tasks(limit=None, states=LIVE_STATES)]
        runs += len(live)
        assert live in ([], [0])
        with platform.world.lock:
            (bid,) = [row for row in platform.world.all("bids") if row["status"] in ("Open", "Allocated")]
        assert [found.id for found in flow.provider().resources() if found.kind == "machine"] == [bid["fid"]]
        log = platform.control("machine", instance=bid["instances"][0], do="run", command="cat /var/tmp/log")["stdout"]
        assert log.split() == ["begin", "end"] * runs
    assert (status, instant > 7) == (0, True)


def test_several_machines_and_their_volume_are_taken_together(platform: Double, booted: Make) -> None:
    flow = booted(self_release="key", region="us-central2-a")
    share = VolumeSpec("together", "/data", kind="file", size_gb=10, create=True)
    wants = {"num_instances": 2, "volumes": [share]}
    first = flow.submit("echo $NODE_RANK >/data/$NODE_RANK", keep=120.0, **wants)
    assert first.wait(PATIENCE) == 0
    alone = flow.submit("cat /data/*", num_instances=2, keep=1.0)
    assert alone.wait(PATIENCE) == 0
    both = "until [ $(ls /data | wc -l) = 4 ]; do sleep 0.1; done"
    again = flow.submit(f"cat /data/* ; touch /data/$FLOW_TASK_ID.$NODE_RANK; {both}; ls /data | wc -l", **wants)

    assert again.wait(PATIENCE) == 0
    assert order(first) == order(alone) == order(again)
    assert [output(again, rank=rank) for rank in (0, 1)] == [b"0\n1\n4\n"] * 2
    assert status(platform, first) == "Terminated"
    (volume,) = flow.provider().volumes()
    flow.provider().delete_volume(volume.id)


def test_a_block_volume_stays_with_the_kept_machine_for_the_next_task(platform: Double, booted: Make) -> None:
    flow = booted(self_release="key")
    disk = VolumeSpec("stays", "/data", size_gb=1, create=True)
    first = flow.submit("echo 41 >/data/x", keep=120.0, volumes=[disk])
    assert first.wait(PATIENCE) == 0
    second = flow.submit("cat /data/x", volumes=["stays:/data"])

    assert second.wait(PATIENCE) == 0
    assert (order(second), output(second)) == (order(first), b"41\n")
    flow.provider().delete_volume(flow.provider().volumes()[0].id)


def test_a_task_that_does_not_fit_gets_a_machine_of_its_own(platform: Double, booted: Make) -> None:
    flow = booted(self_release="key")
    first = kept(flow)
    other = flow.submit("true", instance_type="2xa100")

    assert other.wait(PATIENCE) == 0
    assert order(other) != order(first)


def test_without_a_key_of_its_own_a_machine_is_not_kept(booted: Make) -> None:
    with pytest.raises(ConfigError, match="self_release: key"):
        booted().submit("true", keep=60.0)
