"""A kept machine is the next task's, and goes when there is none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from flow_core import Flow
from flow_core.client import Task
from flow_core.errors import ConfigError
from flow_core.types import parse_ref
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


def test_a_task_that_does_not_fit_gets_a_machine_of_its_own(platform: Double, booted: Make) -> None:
    flow = booted(self_release="key")
    first = kept(flow)
    other = flow.submit("true", instance_type="2xa100")

    assert other.wait(PATIENCE) == 0
    assert order(other) != order(first)


def test_without_a_key_of_its_own_a_machine_is_not_kept(booted: Make) -> None:
    with pytest.raises(ConfigError, match="self_release: key"):
        booted().submit("true", keep=60.0)
