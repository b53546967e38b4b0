"""How often the journal is asked: a number, whatever the number of tasks in it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from flow_core.cli import run
from flow_core.client import Flow
from flow_core.journal import Journal, NewSubmission, NewTask, _file
from flow_core.types import TaskReport, new_task_id

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

Act = Callable[[], object]


def fill(count: int, state: str = "succeeded") -> None:
    """Record so many tasks in this state."""
    names = [new_task_id() for _ in range(count)]
    journal: Journal = Flow().session.journal
    now = time.time()
    journal.record_intents(
        (NewTask(name, "train", "local", "local", '{"command": "true"}', now), NewSubmission(f"r-{name}"))
        for name in names
    )
    journal.mark_calling(*(f"r-{name}" for name in names))
    journal.mark_accepted_all({f"r-{name}": f"local@local:r-{name}" for name in names})
    journal.apply_all({name: TaskReport(state, observed_at=now) for name in names})
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


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return a counter whose ``steps`` grows with the instructions that SQLite executes (sqlite.org/opcode.html)."""
    counted: Counter[str] = Counter()
    connect = _file._connect

    def counting(path: Path) -> sqlite3.Connection:
        database = connect(path)
        database.set_progress_handler(lambda: counted.update(steps=10), 10)
        return database

    monkeypatch.setattr(_file, "_connect", counting)
    return counted


def work(steps: Counter[str], act: Act) -> int:
    """Return how many instructions ``act`` takes."""
    steps.clear()
    act()
    return steps["steps"]


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
def test_a_submission_is_two_transactions_and_its_end_one(statements: list[str]) -> None:
    flow = Flow()
    tasks: list[Any] = []
    flow.submit("true").wait()
    assert commits(statements, lambda: tasks.append(flow.submit("true"))) == 2
    assert commits(statements, lambda: tasks[0].wait()) <= 1
    assert commits(statements, lambda: tasks[0].wait()) == 0


@pytest.mark.usefixtures("home")
def test_a_status_does_as_much_work_with_two_thousand_tasks_as_with_fifty(
    steps: Counter[str], capfd: pytest.CaptureFixture[str]
) -> None:
    fill(50)
    few = work(steps, lambda: run(["status"]))
    fill(2000)
    assert work(steps, lambda: run(["status"])) < 1.5 * few
    assert capfd.readouterr().out


@pytest.mark.usefixtures("home")
def test_waiting_for_a_task_does_as_much_work_with_five_hundred_live_tasks_as_with_ten(steps: Counter[str]) -> None:
    flow = Flow()
    fill(10, "running")
    task = flow.submit("true")
    few = work(steps, task.wait)
    fill(490, "running")
    task = flow.submit("true")
    assert work(steps, task.wait) < 1.5 * few
