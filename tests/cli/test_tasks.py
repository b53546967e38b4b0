"""wait, cancel, exec, cp and retry."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Program


@pytest.fixture
def service(flow: Program) -> str:
    """A running task with a variable of its own."""
    task = flow.submit("echo up; exec sleep 60", "-e", "COLOUR=blue", "--name", "service")
    follower = flow.start("logs", "-f", task)
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"up\n"
    follower.kill()
    follower.communicate()
    return task


def test_wait_gives_the_first_code_that_is_not_zero(flow: Program) -> None:
    tasks = [flow.submit(f"sleep 0.2; exit {code}") for code in (0, 5, 6)]
    answer = flow("wait", *tasks)
    assert answer.status == 5
    assert len(answer.err.splitlines()) == 2


def test_wait_tells_a_program_of_every_task(flow: Program, tmp_path: Path) -> None:
    tasks = [flow.submit(f"exit {code}") for code in (0, 3)]
    answer = flow("wait", "--json", *tasks, FLOW_EXIT_FILE=str(tmp_path / "exit"))
    assert [(row["id"], row["exit_code"]) for row in answer.data] == [(tasks[0], 0), (tasks[1], 3)]
    assert (tmp_path / "exit").read_text() == "task 3\n"


def test_wait_gives_up_after_its_time_and_the_task_goes_on(flow: Program, service: str) -> None:
    answer = flow("wait", "--timeout", "0.3", service)
    assert answer.status == 75
    assert answer.last_line == f"flow: error[TRANSIENT]: {service} is still running after 0.3 s"


def test_a_cancelled_task_has_ended_soon(flow: Program, service: str) -> None:
    answer = flow("cancel", "--grace", "0", service)
    assert (answer.status, answer.out, answer.err) == (0, "", f'flow: cancelling {service} "service"\n')
    flow("wait", service)
    assert flow("status", service, "--json").data[0]["status"] == "cancelled"


def test_cancelling_what_has_ended_says_so(flow: Program) -> None:
    task = flow.submit("true", "--name", "quick")
    flow("wait", task)
    answer = flow("cancel", "quick")
    assert (answer.status, answer.err) == (0, f'flow: {task} "quick" had ended: succeeded\n')


def test_cancel_names_an_unknown_task_before_it_ends_any(flow: Program, service: str) -> None:
    assert flow("cancel", service, "nope").status == 66
    assert flow("status", service, "--json").data[0]["status"] == "running"


def test_exec_runs_in_the_tasks_environment_and_gives_its_code(flow: Program, service: str) -> None:
    answer = flow("exec", service, "--", "sh", "-c", "echo $COLOUR $FLOW_TASK_ID; exit 5")
    assert (answer.status, answer.out) == (5, f"blue {service}\n")


def test_exec_gives_our_stdin_to_the_command(flow: Program, service: str) -> None:
    assert flow("exec", service, "--", "cat", text="typed").out == "typed"


def test_exec_on_a_node_that_is_not_there_is_not_found(flow: Program, service: str) -> None:
    assert flow("exec", service, "--node", "3", "--", "true").status == 66


def test_exec_passes_a_signal_on(flow: Program, service: str) -> None:
    process = flow.start("exec", service, "--", "sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done")
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 7


def test_a_file_is_copied_there_and_back(flow: Program, service: str, tmp_path: Path) -> None:
    data = os.urandom(100_000)
    (flow.folder / "data.bin").write_bytes(data)
    goal = tmp_path / "there.bin"
    assert flow("cp", "data.bin", f"service:{goal}").status == 0
    assert goal.read_bytes() == data
    answer = flow("cp", "--json", f"{service}:{goal}", "back.bin")
    assert answer.data["bytes"] == len(data)
    assert (flow.folder / "back.bin").read_bytes() == data


def test_a_copy_into_a_folder_keeps_the_name(flow: Program, service: str, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"weights")
    assert flow("cp", f"service:{tmp_path}/model.pt", ".").status == 0
    assert (flow.folder / "model.pt").read_bytes() == b"weights"


@pytest.mark.parametrize("words", [("a", "b"), ("x:a", "y:b")])
def test_exactly_one_side_of_a_copy_is_a_task(flow: Program, words: tuple[str, str]) -> None:
    answer = flow("cp", *words)
    assert answer.status == 2
    assert "one of SRC and DST is TASK:path" in answer.last_line


def test_a_missing_file_of_ours_is_named(flow: Program, service: str) -> None:
    answer = flow("cp", "nowhere.txt", "service:x")
    assert (answer.status, answer.last_line) == (64, "flow: error[CONFIG]: nowhere.txt is not a file")


def test_a_missing_file_of_the_node_is_not_found(flow: Program, service: str) -> None:
    assert flow("cp", "service:/nowhere/at/all", ".").status == 66


def test_retry_submits_the_same_again_under_a_new_id(flow: Program) -> None:
    (flow.folder / "flag").write_text("3")
    first = flow.submit("exit $(cat flag)", "--name", "again")
    assert flow("wait", first).status == 3
    (flow.folder / "flag").write_text("0")
    answer = flow("retry", first)
    second = answer.out.strip()
    assert answer.err == f'flow: {second} "again" on local, again from {first}\n'
    assert second != first
    assert flow("wait", second).status == 0
