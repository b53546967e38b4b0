"""Whatever is killed, no exit code is lost, none is invented, and nothing runs twice."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from .machine import SHELLS, Machine, alive, until

COUNT = 10
SECONDS = 0.7
OLD = "pidfd,pidfd_info,children"
OLDEST = "pidfd,pidfd_info,children,subreaper"


def kill_watchers(machine: Machine, tasks: list[str]) -> None:
    for task in tasks:
        with suppress(ProcessLookupError):  # it has ended: this machine is slow
            os.kill(machine.watcher(task), signal.SIGKILL)


def nobody_restarts(machine: Machine, tasks: list[str]) -> None:
    machine.kill_server()


def restarted(machine: Machine, tasks: list[str]) -> None:
    machine.kill_server()
    machine.serve()


def watchers(machine: Machine, tasks: list[str]) -> None:
    kill_watchers(machine, tasks)


def restarted_then_watchers(machine: Machine, tasks: list[str]) -> None:
    restarted(machine, tasks)
    until("the new server listens", lambda: machine.servers() and (machine.root / "bell").exists())
    # Earlier is the row "watchers, then server".
    if "pidfd" in os.environ["FLOW_RUNNER_WITHOUT"]:  # nothing shows that it has taken over
        time.sleep(0.15)
    else:
        until("it has taken over", lambda: all(has_ended(machine, task) or follows(machine, task) for task in tasks))
    kill_watchers(machine, tasks)


def has_ended(machine: Machine, task: str) -> bool:
    return machine.exit(task).code is not None


def follows(machine: Machine, task: str) -> bool:
    """Whether a server holds a pidfd of a task's watcher."""
    line = f"Pid:\t{machine.watcher(task)}\n"
    for server in machine.servers():
        with suppress(OSError):
            if any(line in file.read_text() for file in Path(f"/proc/{server}/fdinfo").iterdir()):
                return True
    return False


def watchers_then_server(machine: Machine, tasks: list[str]) -> None:
    kill_watchers(machine, tasks)
    machine.kill_server()
    machine.serve()


def server_with_watchers(machine: Machine, tasks: list[str]) -> None:
    machine.kill_server(*[machine.watcher(task) for task in tasks])
    machine.serve()


ROWS = [
    nobody_restarts,
    restarted,
    watchers,
    restarted_then_watchers,
    watchers_then_server,
    server_with_watchers,
]
Row = Callable[[Machine, list[str]], None]
# Where the command is nobody's child and the kernel cannot be asked afterwards, the code may be gone; then it is said.
BLIND = (restarted_then_watchers, watchers_then_server, server_with_watchers)


def use(monkeypatch: pytest.MonkeyPatch, shell: str, without: str) -> None:
    if not SHELLS[shell]:
        pytest.skip(f"there is no {shell} here")
    monkeypatch.setenv("FLOW_RUNNER_SH", SHELLS[shell] or "")
    monkeypatch.setenv("FLOW_RUNNER_WITHOUT", without + ",guardian")


def start(machine: Machine, count: int = COUNT, seconds: float = SECONDS) -> dict[str, int]:
    lines = {code: f"echo ready; sleep {seconds}; echo end; exit {code}" for code in range(count)}
    tasks = {machine.submit(line, name=f"flow-{code:03d}"): code for code, line in lines.items()}
    for task in tasks:
        machine.running(task)
    until("all are on record", lambda: all(machine.exit(task).task for task in tasks))
    return tasks


def check(machine: Machine, tasks: dict[str, int], blind: bool) -> None:
    machine.serve()
    for task, code in tasks.items():
        found = machine.wait(task)
        last = found["attempts"][-1]
        if blind and found["state"] == "lost":
            assert "killed" in found["reason"]
        else:
            assert (found["state"], last["exit_code"]) == ("failed" if code else "succeeded", code)
        assert len(found["attempts"]) == 1
        assert machine.output(task) == b"ready\nend\n"


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("shell", SHELLS)
def test_exit_codes_and_logs_survive(machine: Machine, monkeypatch: pytest.MonkeyPatch, shell: str, row: Row) -> None:
    use(monkeypatch, shell, "")
    tasks = start(machine)
    row(machine, list(tasks))
    check(machine, tasks, blind=not _kernel_tells_exits() and row in BLIND)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("without", [OLD, OLDEST])
def test_without_new_kernel_interfaces_no_exit_code_is_wrong(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, without: str, row: Row
) -> None:
    use(monkeypatch, "dash", without)
    tasks = start(machine, 6)
    row(machine, list(tasks))
    check(machine, tasks, blind=row in BLIND or (row is watchers and without == OLDEST))


def _kernel_tells_exits() -> bool:
    release = os.uname().release.split(".")
    return (int(release[0]), int(release[1].split("-")[0])) >= (6, 15)


def test_a_watcher_killed_before_its_command_is_on_record_loses_no_code(machine: Machine) -> None:
    tasks = {}
    for code in range(1, 13):
        task = machine.submit(f"sleep 0.3; exit {code}")
        tasks[task] = code
        until("its watcher", lambda task=task: machine.exit(task).watcher)
        time.sleep(0.002 * (code % 4))
        os.kill(machine.watcher(task), signal.SIGKILL)
    for task, code in tasks.items():
        found = machine.wait(task)
        # Killed between its first line and the fork there is no command whose code could be known.
        assert found["attempts"][-1]["exit_code"] == code or "nobody was left" in found["reason"]
        assert len(found["attempts"]) == 1


def test_the_group_of_the_command_may_be_signalled_by_itself(machine: Machine) -> None:
    found = machine.run("trap 'exit 9' TERM; kill -TERM 0; sleep 5")
    assert found["attempts"][-1]["exit_code"] == 9


def test_a_server_killed_again_and_again_under_load_runs_each_task_once(machine: Machine) -> None:
    ledger = machine.root / "ledger"
    tasks = {}
    for turn in range(12):
        for number in range(12):
            code = number * 7 % 100
            tasks[machine.submit(f"echo $FLOW_TASK_ID >> {ledger}; exit {code}")] = code
        time.sleep(0.003 * turn)
        machine.kill_server()
    machine.serve()
    codes = {task: machine.wait(task)["attempts"][-1]["exit_code"] for task in tasks}
    assert codes == tasks
    assert sorted(ledger.read_text().split()) == sorted("t-" + task for task in tasks)


def test_a_killed_server_comes_back_by_itself(machine: Machine) -> None:
    first = machine.submit("echo ready; sleep 0.8; exit 3")
    machine.running(first)
    (guardian,) = until("a guardian", machine.guardians)
    machine.kill_server()
    machine.stage("exit 4", name="flow-later")
    assert machine.wait(first)["attempts"][-1]["exit_code"] == 3
    assert machine.wait("flow-later")["attempts"][-1]["exit_code"] == 4
    assert not alive(guardian) or guardian in machine.servers()  # it became the server


def test_a_killed_guardian_is_replaced(machine: Machine) -> None:
    machine.submit("sleep 3")
    (first,) = until("a guardian", machine.guardians)
    os.kill(first, signal.SIGKILL)
    (second,) = until("another guardian", lambda: [pid for pid in machine.guardians() if pid != first])
    assert second != first


def test_a_server_whose_root_was_removed_leaves(machine: Machine) -> None:
    machine.submit("sleep 60")
    tasks = until("it runs", machine.processes)
    until("a guardian", machine.guardians)
    # Its processes still write there.
    until("it is removed", lambda: shutil.rmtree(machine.root, ignore_errors=True) or not machine.root.exists())
    until("both are gone", lambda: not machine.servers() + machine.guardians())
    for pid in tasks:
        os.kill(pid, signal.SIGKILL)


def test_two_seconds_after_the_last_task_nothing_is_left(machine: Machine) -> None:
    task = machine.submit("sleep 0.4 & sleep 0.3")
    until("a guardian", machine.guardians)
    machine.wait(task)
    left = lambda: machine.servers() + machine.guardians() + machine.processes()  # noqa: E731
    until("nothing is left", lambda: not left(), 2.8)
    assert not (machine.root / "bell").exists()
    assert not Path(machine.root / "serve.log").exists()
