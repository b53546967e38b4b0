"""A pid in a record that belongs to somebody else by now, and a clock that was set back."""

from __future__ import annotations

import fcntl
import subprocess
import time
from collections.abc import Iterator

import pytest

from flow_core.runner import outcome, process, queue
from flow_core.runner.record import Began, Exit

from .machine import Machine, alive, until

HOUR = 3600.0


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """The leader of a session, with a child, that has nothing to do with Flow."""
    running = subprocess.Popen(["sh", "-c", "sleep 600; :"], start_new_session=True)
    yield running
    subprocess.run(["pkill", "-KILL", "-s", str(running.pid)], check=False)
    running.wait()


def leave_behind(machine: Machine, pid: int, task: bool) -> str:
    """A task that a server left behind long ago; its watcher's pid (and its command's) is ``pid`` now."""
    name = machine.stage("true")
    folder = machine.folder(name) / "attempts" / "1" / "0"
    folder.mkdir(parents=True)
    began = time.time() - HOUR, time.monotonic() - HOUR
    lines = [f"b {process.boot_id()} {began[0]:.6f} {began[1]:.6f} {process.host()}", f"w {pid}"]
    lines += [f"t {pid} 1"] if task else []
    (folder / "exit").write_text("".join(line + "\n" for line in lines))
    return name


@pytest.mark.parametrize("task", [False, True], ids=["watcher", "both"])
def test_a_server_does_not_take_a_stranger_for_a_task(
    machine: Machine, stranger: subprocess.Popen[bytes], task: bool
) -> None:
    name = leave_behind(machine, stranger.pid, task)
    machine.serve()

    assert machine.wait(name)["state"] == "lost"
    assert stranger.poll() is None
    assert len(process.children(stranger.pid)) == 1


def test_a_cancel_does_not_reach_a_stranger(machine: Machine, stranger: subprocess.Popen[bytes]) -> None:
    name = leave_behind(machine, stranger.pid, task=False)
    queue.request_cancel(str(machine.folder(name)), 0.0)
    machine.serve()

    assert machine.wait(name)["state"] in ("lost", "cancelled")
    assert stranger.poll() is None
    assert len(process.children(stranger.pid)) == 1


def test_who_only_looks_does_not_believe_a_stranger_either(machine: Machine, stranger: subprocess.Popen[bytes]) -> None:
    name = leave_behind(machine, stranger.pid, task=False)

    assert machine.report(name)["state"] == "lost"


def test_what_was_killed_is_seen_though_the_clock_was_set_back(stranger: subprocess.Popen[bytes]) -> None:
    dead = subprocess.Popen(["true"], start_new_session=True)
    dead.wait()
    began = Began(process.boot_id(), time.time() + HOUR, time.monotonic() - 60.0, process.host())

    assert outcome.gone(Exit(began=began, watcher=dead.pid)) == outcome.KILLED


def test_a_retry_does_not_wait_for_the_clock_to_come_back(machine: Machine) -> None:
    name = machine.stage("exit 1", retry={"retries": 1, "delay": 0.1, "max_delay": 1.0})
    folder = machine.folder(name) / "attempts" / "1" / "0"
    folder.mkdir(parents=True)
    began = time.time() + HOUR, time.monotonic() - 1.0
    ended = f"x 1\ne {began[0]:.6f}\n"
    (folder / "exit").write_text(
        f"b {process.boot_id()} {began[0]:.6f} {began[1]:.6f} {process.host()}\nw 99999\n{ended}"
    )
    machine.serve()

    assert len(machine.wait(name)["attempts"]) == 2


def test_a_command_whose_exit_code_somebody_will_take_is_not_gone() -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    with subprocess.Popen(["false"]) as ended:
        until("it has ended", lambda: not alive(ended.pid))
        row = process.stat(ended.pid)
        assert row is not None
        began = Began(process.boot_id(), time.time(), time.monotonic() - HOUR, process.host())
        found = Exit(began=began, watcher=dead.pid, task=(ended.pid, row.started))
        assert outcome.gone(found) is None
    assert outcome.gone(found) == outcome.KILLED


def test_who_only_looks_leaves_the_word_to_the_one_that_serves(machine: Machine) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    name = leave_behind(machine, dead.pid, task=False)
    with (machine.root / "serve.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert machine.report(name)["state"] == "running"
    assert machine.report(name)["state"] == "lost"
