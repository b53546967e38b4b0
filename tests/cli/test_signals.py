"""Signals while ``flow run`` follows a task: nothing is lost, and the user decides."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from .terminal import Terminal

if TYPE_CHECKING:
    from conftest import Program

_TALK = "trap 'echo bye; exit 9' TERM; i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"


def _follow(flow: Program, *arguments: str, command: str = _TALK) -> subprocess.Popen[bytes]:
    """Start an attached run and wait until its task has written something."""
    process = flow.start("run", "--name", "talker", *arguments, command)
    assert process.stdout is not None
    assert process.stdout.readline() == b"1\n"
    return process


def _state(flow: Program, wanted: str) -> str:
    """Return the state of the task, waiting for it to become ``wanted``."""
    deadline = time.monotonic() + 20
    while True:
        row = flow("status", "talker", "--json").data[0]
        if row["status"] == wanted or time.monotonic() > deadline:
            return str(row["status"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_detaches_and_says_how_to_go_on(flow: Program, number: int) -> None:
    process = _follow(flow)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "flow: detached; t" in err.decode()
    assert "flow logs -f t" in err.decode()
    assert _state(flow, "running") == "running"


def test_the_second_signal_cancels(flow: Program) -> None:
    process = _follow(flow)
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    while b"detached" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert "cancelling t" in err.decode()
    assert _state(flow, "cancelled") == "cancelled"


def test_a_hangup_detaches_quietly(flow: Program) -> None:
    process = _follow(flow, "-q")
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (128 + signal.SIGHUP, b"")
    assert _state(flow, "running") == "running"


def test_a_signal_that_is_ignored_from_the_start_stays_ignored(flow: Program) -> None:
    process = flow.start(
        "run", "-q", "echo 1; sleep 0.5; echo 2", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"1\n"
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, b"2\n")


_QUESTION = b"(d)etach, (c)ancel, (r)esume following? "


def _interrupted(flow: Program, command: str = _TALK) -> Terminal:
    terminal = Terminal(flow, "run", "--name", "talker", command)
    terminal.until(b"1\r\n")
    terminal.type(b"\x03")
    terminal.until(_QUESTION)
    return terminal


def test_ctrl_c_on_a_terminal_asks_and_d_detaches(flow: Program) -> None:
    terminal = _interrupted(flow)
    terminal.type(b"d\n")
    status, seen = terminal.end()
    assert status == 130
    assert b"goes on (flow logs -f t" in seen
    assert _state(flow, "running") == "running"


def test_c_cancels_and_follows_to_the_end(flow: Program) -> None:
    terminal = _interrupted(flow)
    terminal.type(b"c\n")
    status, seen = terminal.end()
    assert status == 9
    assert b"bye\r\n" in seen
    assert _state(flow, "cancelled") == "cancelled"


def test_ctrl_c_at_the_question_cancels(flow: Program) -> None:
    terminal = _interrupted(flow)
    terminal.type(b"\x03")
    assert terminal.end()[0] == 9


def test_r_goes_on_exactly_where_it_was(flow: Program) -> None:
    terminal = Terminal(
        flow, "run", "-q", "--name", "talker", "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; sleep 0.02; done"
    )
    lines = terminal.until(b"\r\n5\r\n")
    terminal.type(b"\x03")
    lines += terminal.until(_QUESTION)
    terminal.type(b"r\n")
    status, rest = terminal.end()
    numbers = [line for line in (lines + rest).split(b"\r\n") if line.isdigit()]
    assert status == 0
    assert numbers == [str(number).encode() for number in range(1, 61)]


def test_an_answer_that_is_none_is_asked_again(flow: Program) -> None:
    terminal = _interrupted(flow)
    terminal.type(b"x\n")
    terminal.until(_QUESTION)
    terminal.type(b"d\n")
    assert terminal.end()[0] == 130


def test_a_terminal_that_is_closed_leaves_the_task_running(flow: Program) -> None:
    terminal = Terminal(flow, "run", "--name", "talker", _TALK)
    terminal.until(b"1\r\n")
    terminal.close()
    assert terminal.process.wait(30) in (128 + signal.SIGHUP, 141)
    assert _state(flow, "running") == "running"


def test_ctrl_c_while_watching_ends_the_watch_quietly(flow: Program) -> None:
    flow.submit("sleep 20", "--name", "sleeper")
    process = flow.start("status", "--watch")
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"ID")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"")


def test_ctrl_c_while_waiting_leaves_the_task_running(flow: Program) -> None:
    task = flow.submit("echo on; sleep 20", "--name", "talker")
    process = flow.start("logs", "-f", task)
    assert process.stdout is not None
    assert process.stdout.readline() == b"on\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert _state(flow, "running") == "running"
