"""The life of tasks and machines: ends without a client, time limits of machines, preemption."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from flow_core import Flow
from flow_core.client import Task
from flow_core.secrets import Secret
from flow_core.types import new_request_id, parse_ref
from flow_mithril._api import Api
from flow_mithril._commands import mithril
from flow_mithril.testing import Double

PATIENCE = 60.0
Make = Callable[..., Flow]


@pytest.fixture
def make(platform: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes clients: ``make(setting=value)``; what they leave behind is ended."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("FLOW_HOME", str(home))
    (tmp_path / "work").mkdir()

    def made(**settings: object) -> Flow:
        profile = {"provider": "mithril", "settle": "3s", "defaults": {"instance_type": "1xa100"}}
        profile = {**profile, "self_release": "client", **settings}
        (home / "config.yaml").write_text(yaml.safe_dump({"default": "m", "profiles": {"m": profile}}))
        return Flow(cwd=tmp_path / "work")

    yield made
    client = made()
    for task in client.tasks(limit=None):
        if task.row.ref:
            client.provider().release(parse_ref(task.row.ref)[2])


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return answer


def fid(task: Task) -> str:
    assert task.row.ref is not None
    return parse_ref(task.row.ref)[2].id


def bid(platform: Double, task: Task) -> Mapping[str, Any]:
    with platform.world.lock:
        return dict(platform.world.table("bids")[fid(task)])


def bid_status(platform: Double, task: Task) -> str:
    platform.settle()
    return str(bid(platform, task)["status"])


def machine(platform: Double, task: Task, rank: int = 0) -> str:
    return str(bid(platform, task)["instances"][rank])


def live_keys(platform: Double) -> list[str]:
    with platform.world.lock:
        return [row["name"] for row in platform.world.all("api_keys") if not row["deactivated_at"]]


def begun(task: Task) -> Task:
    until(lambda: task.status == "running", "it never runs")
    return task


def output(task: Task, **only: Any) -> bytes:
    chunks = [c for c in task.logs() if c.stream == "stdout" and all(getattr(c, k) == v for k, v in only.items())]
    return b"".join(chunk.data for chunk in chunks)


def test_what_was_fetched_lets_the_machine_go_and_is_there_afterwards(platform: Double, make: Make) -> None:
    task = make().submit("echo out; echo err >&2; exit 3")

    assert task.wait(PATIENCE) == 3
    assert bid_status(platform, task) == "Terminated"
    assert output(task) == b"out\n"


def test_with_a_minted_key_the_users_own_never_comes_to_the_machine(platform: Double, make: Make) -> None:
    task = begun(make(self_release="key").submit("sleep 60"))
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


def test_an_end_that_nobody_fetches_is_held_then_paused_and_resumed_for_its_logs(platform: Double, make: Make) -> None:
    flow = make(self_release="key", hold="2s")
    task = begun(flow.submit("echo kept; sleep 1; exit 5"))

    until(lambda: bid_status(platform, task) == "Paused", "the machine is never paused")
    assert task.status == "running"
    assert "paused" in task.reason
    done = CliRunner().invoke(mithril, ["resume", task.id])
    assert done.exit_code == 0, done.output
    assert task.wait(PATIENCE) == 5
    assert output(task) == b"kept\n"
    assert bid_status(platform, task) == "Terminated"


def test_without_a_key_the_machine_switches_itself_off(platform: Double, make: Make) -> None:
    task = begun(make(hold="1s").submit("sleep 1"))

    until(
        lambda: not platform.control("machine", instance=machine(platform, task))["alive"], "the machine is never off"
    )


def test_a_machine_ends_when_its_time_is_over_whatever_its_task_does(platform: Double, make: Make) -> None:
    task = begun(make(self_release="key", max_lifetime="8s").submit("trap '' TERM; sleep 1000", grace=1.0))

    until(lambda: bid_status(platform, task) == "Terminated", "the machine outlives its time")


def test_a_preempted_task_is_told_and_goes_on_when_there_is_a_machine_again(platform: Double, make: Make) -> None:
    command = "trap 'echo told $FLOW_ATTEMPT' USR1; echo try $FLOW_ATTEMPT; [ $FLOW_ATTEMPT = 2 ] && exit 0; while :; do sleep 0.2; done"
    task = begun(make().submit(command, preempt_signal="USR1"))
    platform.control("preempt", bid=fid(task), notice=4.0, again_after=1.0)

    assert task.wait(PATIENCE) == 0
    assert [(one.number, one.state) for one in task.attempts] == [(1, "preempted"), (2, "succeeded")]
    assert task.attempts[0].preempt_notice_at is not None
    assert output(task, attempt=1) == b"try 1\ntold 1\n"
    assert output(task, attempt=2) == b"try 2\n"


def test_a_task_is_preempted_twice_and_no_more_often_than_it_may_be(platform: Double, make: Make) -> None:
    task = begun(make().submit("echo try $FLOW_ATTEMPT; sleep 1000", max_preemptions=1))
    for attempt in (1, 2):
        until(lambda attempt=attempt: output(task).count(b"try") == attempt, "it does not begin")
        platform.control("preempt", bid=fid(task), notice=1.0, again_after=0.5)
        until(lambda: bid_status(platform, task) != "Preempting", "it is not taken")
    until(lambda: task.refresh().is_final, "it never ends")

    assert task.status == "preempted"
    assert [one.state for one in task.attempts] == ["preempted", "preempted"]


def test_a_cancelled_bid_that_waits_is_ended_at_once(platform: Double, make: Make) -> None:
    platform.control("capacity", instance_type="a100-80gb.sxm.2x", capacity=0)
    task = make().submit("true", instance_type="2xa100")
    assert task.status == "pending"
    assert "waits for capacity" in task.reason

    assert task.cancel()
    assert task.wait(PATIENCE) == 130
    assert bid_status(platform, task) == "Terminated"
    platform.control("capacity", instance_type="a100-80gb.sxm.2x", capacity=8)


def test_what_no_task_accounts_for_is_swept(platform: Double, make: Make) -> None:
    task = begun(make().submit("sleep 600"))
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
