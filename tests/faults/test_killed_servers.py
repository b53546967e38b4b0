"""What is killed on the machine of a task takes no byte of its log and no exit code with it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from flow_core import Flow

_LINES = "".join(f"line-{number}\n" for number in range(8)).encode()


def _command(code: int) -> str:
    return f"for i in 0 1 2 3 4 5 6 7; do echo line-$i; sleep 0.1; done; exit {code}"


def _log(task) -> bytes:
    return b"".join(chunk.data for chunk in task.logs())


def test_servers_and_guardians_killed_again_and_again_lose_nothing(flow: Flow, machine, eventually) -> None:
    tasks = [flow.submit(_command(number)) for number in range(20)]
    for _ in range(3):
        eventually(lambda: "serve" in machine.processes().values() or flow.refresh())
        machine.kill("serve", "guardian")
    assert [task.wait(timeout=30) for task in tasks] == list(range(20))
    assert {_log(task) for task in tasks} == {_LINES}
    assert {len(task.attempts) for task in tasks} == {1}


def test_watchers_that_are_killed_take_no_exit_code_with_them(flow: Flow, machine, eventually) -> None:
    tasks = [flow.submit(_command(number)) for number in range(8)]
    eventually(lambda: list(machine.processes().values()).count("watcher") == 8)
    assert machine.kill("watcher") == 8
    assert [task.wait(timeout=30) for task in tasks] == list(range(8))
    assert {_log(task) for task in tasks} == {_LINES}


def test_who_waits_starts_again_what_was_killed(flow: Flow, machine, eventually) -> None:
    first = flow.submit("sleep 0.5")
    second = flow.submit("exit 6", depends_on=[first.id])
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(second.wait()))
    waiting.start()
    eventually(lambda: set(machine.processes().values()) >= {"serve", "guardian"})
    assert machine.kill("serve", "guardian") == 2
    waiting.join(timeout=30)
    assert answers == [6]


def test_who_follows_the_log_sees_its_end_though_all_were_killed(flow: Flow, machine, eventually) -> None:
    task = flow.submit("echo one; sleep 60")
    log = task.logs(follow=True)
    assert next(log).data == b"one\n"
    eventually(lambda: set(machine.processes().values()) >= {"serve", "guardian"})
    machine.kill("serve", "guardian", "watcher", "command")
    assert list(log) == []
    assert task.status == "lost"
    assert "killed" in task.reason


def test_what_ended_while_its_server_was_dying_is_tidied(flow: Flow, machine, project: Path, eventually) -> None:
    task = flow.submit("setsid sleep 60 & until [ -e go ]; do sleep 0.05; done")
    eventually(lambda: set(machine.processes().values()) >= {"serve", "guardian"} and task.status == "running")
    servers = [pid for pid, role in machine.processes().items() if role in ("serve", "guardian")]
    for pid in servers:
        os.kill(pid, signal.SIGSTOP)  # it holds its lock, as one does that is killed and not gone yet
    (project / "go").touch()
    eventually(lambda: "watcher" not in machine.processes().values())
    threading.Timer(0.02, lambda: [os.kill(pid, signal.SIGKILL) for pid in servers]).start()
    assert task.status == "succeeded"
    eventually(lambda: machine.processes() == {})


def test_nothing_is_left_after_the_last_task(flow: Flow, machine, eventually) -> None:
    assert flow.submit("setsid sleep 60 & exit 0").wait(timeout=30) == 0
    eventually(lambda: machine.processes() == {})
