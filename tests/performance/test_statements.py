"""How often the journal is asked: a number, whatever the number of tasks in it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flow_core.cli import run
from flow_core.client import Flow
from flow_core.journal import Journal, NewSubmission, NewTask, _file
from flow_core.types import TaskReport, new_task_id

Act = Callable[[], object]


def fill(count: int) -> None:
    """Record so many tasks that have ended."""
    names = [new_task_id() for _ in range(count)]
    journal: Journal = Flow().session.journal
    now = time.time()
    journal.record_intents(
        (NewTask(name, "train", "local", "local", '{"command": "true"}', now), NewSubmission(f"r-{name}"))
        for name in names
    )
    journal.mark_calling(*(f"r-{name}" for name in names))
    journal.mark_accepted_all({f"r-{name}": f"local@local:r-{name}" for name in names})
    journal.apply_all({name: TaskReport("succeeded", observed_at=now) for name in names})
    journal.close()


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that every statement of every connection made from now on is added to."""
    seen: list[str] = []
    connect = _file._connect

    def traced(path: Path) -> sqlite3.Connection:
        database = connect(path)
        database.set_trace_callback(seen.append)
        return database

    monkeypatch.setattr(_file, "_connect", traced)
    return seen


def count(statements: list[str], act: Act) -> int:
    """Return how many statements ``act`` takes."""
    statements.clear()
    act()
    return len(statements)


def commits(statements: list[str], act: Act) -> int:
    """Return how many transactions ``act`` writes."""
    statements.clear()
    act()
    return statements.count("COMMIT")


@pytest.mark.usefixtures("home")
def test_status_takes_as_many_statements_with_a_thousand_tasks_as_with_thirty(
    statements: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    fill(30)
    few = count(statements, lambda: run(["status"]))
    fill(1000)
    assert count(statements, lambda: run(["status"])) == few <= 12
    assert capfd.readouterr().out.count("\n") == 2 * (1 + 20)


@pytest.mark.usefixtures("home")
def test_a_status_writes_nothing_when_there_is_no_news(
    statements: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    fill(30)
    assert commits(statements, lambda: run(["status"])) == 0
    assert capfd.readouterr().out


@pytest.mark.usefixtures("home")
def test_a_submission_is_three_transactions_and_its_end_one(statements: list[str]) -> None:
    flow = Flow()
    tasks: list[Any] = []
    flow.submit("true").wait()
    assert commits(statements, lambda: tasks.append(flow.submit("true"))) == 3
    assert commits(statements, lambda: tasks[0].wait()) <= 3
    assert commits(statements, lambda: tasks[0].wait()) == 0


@pytest.mark.usefixtures("home")
def test_waiting_for_a_task_that_has_ended_reads_no_other_task(statements: list[str]) -> None:
    flow = Flow()
    ended = flow.submit("true")
    ended.wait()
    alone = count(statements, ended.wait)
    live = [flow.submit("sleep 30") for _ in range(5)]
    try:
        assert count(statements, ended.wait) == alone
    finally:
        for task in live:
            task.cancel(0)
