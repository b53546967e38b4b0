"""A rented machine runs what comes, is held, paused, kept, and goes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flow_core.runner import command

from .deeds import Platform
from .machine import DEADLINE, Machine, alive, until

Keep = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def keep(machine: Machine) -> Iterator[Keep]:
    """Starts the keeper of the machine with what ``keep.json`` says."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**settings: object) -> subprocess.Popen[bytes]:
        (machine.root / "keep.json").write_text(json.dumps(settings))
        (machine.root / "release.key").write_text("a-key")
        started.append(subprocess.Popen(command("keep", str(machine.root)), stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for keeper in started:
        keeper.terminate()
        keeper.wait(DEADLINE)


def plan(platform: Platform, hold: float = 60.0, kept: float = 0.0) -> dict[str, Any]:
    end = {"kind": "http", "method": "DELETE", "url": platform.url, "credential": "release.key"}
    pause = {**end, "method": "PATCH", "body": {"paused": True}}
    return {"release": {"end": end, "pause": pause, "hold_seconds": hold, "keep_seconds": kept}}


def ended(machine: Machine, task: str) -> None:
    until(f"{task} ends", (machine.folder(task) / "final.json").exists)


def output(machine: Machine, task: str) -> str:
    return (machine.folder(task) / "attempts/1/0/stdout").read_text()


def test_a_machine_to_which_nobody_comes_is_switched_off(machine: Machine, keep: Keep) -> None:
    assert keep(delivery_wait=0.3).wait(DEADLINE) == 0
    said = json.loads((machine.root / "end.json").read_bytes())
    assert said["reason"] == "no client came to deliver the task within 0.3 s"


def test_a_task_that_comes_is_run_and_its_end_held_then_paused(
    machine: Machine, keep: Keep, platform: Platform
) -> None:
    keeper = keep(delivery_wait=60)
    task = machine.stage("echo ran", **plan(platform, hold=0.5))
    ended(machine, task)
    assert output(machine, task) == "ran\n"
    assert platform.asked == []

    until("it is paused", lambda: platform.asked)
    assert platform.asked[0] == ("PATCH", "/machine", "Bearer a-key", '{"paused": true}')
    assert (machine.root / "release.key").exists()
    assert keeper.poll() is None


def test_an_end_that_was_fetched_is_followed_by_the_machines_end(
    machine: Machine, keep: Keep, platform: Platform
) -> None:
    keep()
    task = machine.stage("true", **plan(platform))
    ended(machine, task)
    (machine.folder(task) / "fetched").touch()

    until("it is given back", lambda: platform.asked)
    assert platform.asked[0] == ("DELETE", "/machine", "Bearer a-key", "")
    until("its key is gone", lambda: not (machine.root / "release.key").exists())


def test_a_kept_machine_waits_its_time_and_can_then_not_be_taken(
    machine: Machine, keep: Keep, platform: Platform
) -> None:
    keep()
    task = machine.stage("true", **plan(platform, kept=1.0))
    ended(machine, task)
    over = (machine.folder(task) / "final.json").stat().st_mtime
    (machine.folder(task) / "fetched").touch()

    until("it is given back", lambda: platform.asked)
    assert time.time() - over >= 1.0
    with pytest.raises(FileExistsError):
        (machine.folder(task) / "next").touch(exist_ok=False)


def test_a_machine_that_was_taken_waits_for_the_next_task_and_runs_it(
    machine: Machine, keep: Keep, platform: Platform
) -> None:
    keep(delivery_wait=60)
    first = machine.stage("true", **plan(platform, kept=0.2))
    (machine.folder(first) / "next").write_text("flow-next\n")
    ended(machine, first)
    (machine.folder(first) / "fetched").touch()
    time.sleep(0.6)  # longer than it is kept
    second = machine.stage("echo next", **plan(platform))
    ended(machine, second)

    assert output(machine, second) == "next\n"
    assert platform.asked == []


def test_a_machine_whose_next_task_does_not_come_is_given_back(
    machine: Machine, keep: Keep, platform: Platform
) -> None:
    keep(delivery_wait=0.5)
    task = machine.stage("true", **plan(platform, kept=0.1))
    (machine.folder(task) / "next").write_text("flow-next\n")
    ended(machine, task)
    (machine.folder(task) / "fetched").touch()

    assert until("it is given back", lambda: platform.asked)[0][0] == "DELETE"


def test_when_its_time_is_over_the_task_is_ended_and_the_machine_given_back(
    machine: Machine, keep: Keep, platform: Platform
) -> None:
    keep()
    task = machine.stage("echo $$; exec sleep 1000", limits={"grace": 0.1}, **plan(platform, kept=60.0))
    until("it runs", lambda: (machine.folder(task) / "attempts/1/0/stdout").exists() and output(machine, task))
    (machine.root / "keep.json").write_text(json.dumps({"ends_at": time.time()}))
    ended(machine, task)

    assert json.loads((machine.folder(task) / "final.json").read_bytes())["state"] == "cancelled"
    assert not alive(int(output(machine, task)))
    assert until("it is given back", lambda: platform.asked)[0][0] == "DELETE"


def test_a_platform_that_refuses_the_key_has_the_machine_switched_off(
    machine: Machine, keep: Keep, platform: Platform
) -> None:
    platform.status = 401
    keeper = keep()
    task = machine.stage("true", **plan(platform, hold=0.1))
    ended(machine, task)

    assert keeper.wait(DEADLINE) == 0
    assert not (machine.root / "release.key").exists()


def test_a_platform_that_is_down_is_asked_until_it_answers(machine: Machine, keep: Keep, platform: Platform) -> None:
    platform.status = 503
    keep()
    task = machine.stage("true", **plan(platform))
    ended(machine, task)
    (machine.folder(task) / "fetched").touch()
    until("it is asked", lambda: platform.asked)
    platform.status = 200

    until("it is asked again", lambda: len(platform.asked) > 1)
    until("its key is gone", lambda: not (machine.root / "release.key").exists())


def test_a_machine_that_is_merely_switched_off_waits_for_a_client_that_is_there(machine: Machine, keep: Keep) -> None:
    first = keep()
    task = machine.stage("true", release={"end": {"kind": "poweroff"}})
    (machine.folder(task) / "upload.json").write_text('{"state": "kept"}')
    ended(machine, task)
    with pytest.raises(subprocess.TimeoutExpired):
        first.wait(1.5)
    first.terminate()
    first.wait(DEADLINE)
    over = time.time() - 61
    os.utime(machine.folder(task) / "final.json", (over, over))

    assert keep().wait(DEADLINE) == 0


def test_a_keeper_that_is_stopped_leaves_the_machine_on(machine: Machine, keep: Keep) -> None:
    keeper = keep(delivery_wait=60)
    machine_task = machine.stage("true", release={"end": {"kind": "poweroff"}, "hold_seconds": 60})
    ended(machine, machine_task)
    keeper.terminate()

    assert keeper.wait(DEADLINE) == 1
