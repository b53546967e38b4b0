"""How many processes run a task, and that none of them looks at a clock while nothing happens."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from flow_core.client import Flow, Task

if TYPE_CHECKING:
    from pathlib import Path

TASKS = 4
WINDOW = 2.5  # seconds in which wake-ups are counted; a look every 50 ms would be 50 of them
FOLLOWER_WAKES, SERVER_WAKES, GUARD_WAKES = 8, 5, 0


@pytest.fixture
def quiet(tmp_path: Path) -> Any:
    """Return a function that starts tasks which say one line and then wait for the end of the test."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    keep = os.open(gate, os.O_RDWR)
    started: list[Task] = []

    def start(count: int) -> list[Task]:
        new = [Flow().submit(f"echo here; read line < {gate}") for _ in range(count)]
        started.extend(new)
        for task in new:
            next(task.logs(follow=True))
        return new

    yield start
    os.close(keep)
    for task in started:
        task.cancel(0)
        task.wait()


Start = Callable[[int], list[Task]]


def test_a_task_is_its_command_and_one_shell_and_all_share_one_interpreter(home: Any, look: Any, quiet: Start) -> None:
    quiet(TASKS)
    server = home.server()
    assert server is not None
    look.until(lambda: len(look.below(server.pid)) == 2 * TASKS + 1, "the guardian")  # a shell that restarts the server
    assert not [process for process in look.below(server.pid) if process.is_python]


def test_the_queue_and_what_watches_tasks_sleep_while_the_tasks_are_silent(home: Any, look: Any, quiet: Start) -> None:
    quiet(TASKS)
    server = home.server()
    assert server is not None
    look.until(lambda: len(look.below(server.pid)) == 2 * TASKS + 1, "the guardian")
    below = look.below(server.pid)
    before = server.sleeps, sum(process.sleeps for process in below)
    time.sleep(WINDOW)
    assert server.sleeps - before[0] <= SERVER_WAKES
    assert sum(process.sleeps for process in below) - before[1] == GUARD_WAKES


@pytest.mark.usefixtures("home")
def test_a_follower_sleeps_while_the_task_is_silent(look: Any, quiet: Start) -> None:
    [task] = quiet(1)
    command = [sys.executable, "-m", "flow_core", "logs", "-f", task.id]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"here\n"
        [process] = [p for p in look.below(os.getpid()) if p.pid == follower.pid]
        before = process.sleeps
        time.sleep(WINDOW)
        wakes = process.sleeps - before
        follower.terminate()
    assert wakes <= FOLLOWER_WAKES


def test_the_queue_leaves_when_there_is_nothing_to_do(home: Any, look: Any) -> None:
    Flow().submit("true").wait()
    assert home.server() is not None
    look.until(lambda: home.server() is None, "its end")
    assert not (home.root / "bell").exists()
