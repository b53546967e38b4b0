"""``flow queue``, and the reasons that ``flow status`` shows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flow_core.cli.commands.queue import HEADER

if TYPE_CHECKING:
    from conftest import Program

CORES = ("--cpus", "1")


def _told(flow: Program, count: int) -> list[dict[str, object]]:
    """Wait until so many tasks that wait have a place in line."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        rows: list[dict[str, object]] = flow("queue", "--json").data
        if sum(row["place"] is not None for row in rows) == count:
            return rows
    raise AssertionError(f"not {count} in line: {rows}")


def _limit(flow: Program) -> None:
    assert flow("config", "set", "profiles.local.max_tasks", "1").status == 0


def test_what_runs_stands_before_what_waits_each_with_its_reason(flow: Program) -> None:
    _limit(flow)
    first = flow.submit("sleep 60", "--name", "first")
    second = flow.submit("true", "--name", "second")
    urgent = flow.submit("true", "--name", "urgent", "--priority", "5", *CORES)
    rows = _told(flow, 2)
    assert [(row["id"], row["status"], row["place"]) for row in rows] == [
        (first, "running", None),
        (urgent, "pending", 1),
        (second, "pending", 2),
    ]
    wanted = f"waits for a free place (max_tasks 1, used by {first})"
    assert [row["reason"] for row in rows] == ["", wanted, f"{wanted}; second in line"]
    assert [(row["name"], row["cpus"], row["priority"]) for row in rows][1] == ("urgent", 1.0, 5)


def test_a_pipe_gets_a_header_and_a_line_for_each(flow: Program) -> None:
    _limit(flow)
    first = flow.submit("sleep 60", "--name", "first")
    flow.submit("true", "--name", "second", *CORES)
    _told(flow, 1)
    header, running, waiting = flow("queue").out.splitlines()
    assert header.split() == list(HEADER)
    assert running.split()[:4] == ["-", first, "first", "running"]
    assert waiting.split()[2:6] == ["second", "pending", "0", "1"]


def test_status_shows_the_reason_too(flow: Program) -> None:
    _limit(flow)
    first = flow.submit("sleep 60")
    second = flow.submit("true")
    _told(flow, 1)
    assert flow("status", second, "--json").data[0]["reason"] == (
        f"waits for a free place (max_tasks 1, used by {first})"
    )


def test_a_task_that_waits_for_another_one_says_so(flow: Program) -> None:
    first = flow.submit("sleep 60")
    after = flow.submit("true", "--depends-on", first)
    end = time.monotonic() + 20
    while flow("queue", "--json").data[-1]["reason"] != f"waits for {first} to end":
        assert time.monotonic() < end, flow("queue").out
    assert flow("queue", "--json").data[-1]["id"] == after


def test_an_empty_queue_is_a_header_in_a_pipe(flow: Program) -> None:
    assert flow("queue").out.split() == list(HEADER)
    assert flow("queue", "--json").data == []
