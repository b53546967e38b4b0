"""``flow top``."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from flow_core.cli._top import HEADER

if TYPE_CHECKING:
    from conftest import Program


def _running(flow: Program, count: int) -> list[dict[str, Any]]:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        rows: list[dict[str, Any]] = flow("top", "--json").data
        if len(rows) == count:
            return rows
    raise AssertionError(f"not {count} running: {rows}")


def test_it_shows_who_keeps_a_core_busy_and_how_much_memory_is_used(flow: Program) -> None:
    eat = f"exec {sys.executable} -I -S -c 'x = bytearray(b\"a\") * (64 << 20); import time; time.sleep(60)'"
    flow.submit("while :; do :; done", "--name", "busy")
    flow.submit(eat, "--name", "large")
    rows = {row["name"]: row for row in _running(flow, 2)}
    end = time.monotonic() + 20
    while rows["large"]["memory"] < 64 << 20 and time.monotonic() < end:
        rows = {row["name"]: row for row in flow("top", "--json").data}
    assert rows["busy"]["cores"] > rows["large"]["cores"]
    assert rows["busy"]["cpu_seconds"] > 0.1
    assert 64 << 20 <= rows["large"]["memory"] < 200 << 20
    assert rows["busy"]["machines"] == 1
    assert rows["large"]["processes"] >= 1


def test_the_memory_of_a_control_group_counts_where_there_is_one(flow: Program) -> None:
    flow.submit("sleep 60", "--memory", "200MiB")
    (row,) = _running(flow, 1)
    assert 0 <= row["memory"] < 200 << 20


def test_a_pipe_gets_a_header_and_a_line_for_each(flow: Program) -> None:
    task = flow.submit("sleep 60", "--name", "calm")
    _running(flow, 1)
    header, line = flow("top").out.splitlines()
    assert header.split() == list(HEADER)
    assert line.split()[:3] == [task, "calm", "local"]


def test_only_those_that_are_named_are_shown(flow: Program) -> None:
    one, two = flow.submit("sleep 60"), flow.submit("sleep 60")
    _running(flow, 2)
    assert [row["id"] for row in flow("top", "--json", two).data] == [two]
    assert one != two


def test_where_nothing_runs_the_header_stands_alone(flow: Program) -> None:
    assert flow("top").out.split() == list(HEADER)


def test_a_terminal_is_kept_up_to_date_until_ctrl_c(flow: Program) -> None:
    flow.submit("sleep 60", "--name", "seen")
    _running(flow, 1)
    leader, follower = pty.openpty()
    argv = [sys.executable, "-m", "flow_core", "top", "--interval", "0.1s"]
    process = subprocess.Popen(
        argv, cwd=flow.folder, env=dict(flow.environ), stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    seen = b""
    while seen.count(b"seen") < 3:
        seen += os.read(leader, 65536)
    process.send_signal(signal.SIGINT)
    try:
        while os.read(leader, 65536):
            pass
    except OSError:
        pass
    os.close(leader)
    assert process.wait(30) == 130
