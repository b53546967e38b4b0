"""What a command looks at does not grow with the tasks of the state folder: statements, and files that are opened."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from flow_core.cli import run
from flow_core.client import Flow
from flow_core.journal import NewSubmission, NewTask, _file
from flow_core.runner import board
from flow_core.types import TaskReport, new_task_id, parse_ref

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

# The numbers that are promised are ten thousand and a hundred thousand: FLOW_SOAK has them.
SOAK = bool(os.environ.get("FLOW_SOAK"))
WAITING, ENDED = (10_000, 100_000) if SOAK else (150, 2_000)
_seen: list[str] | None = None


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None and event in ("open", "os.listdir", "os.scandir"):
        _seen.append(f"{event} {arguments[0]}")


@pytest.fixture(scope="module", autouse=True)
def audit() -> None:
    """Hear of every file that is opened: for good, and in vain while nobody counts."""
    sys.addaudithook(_hear)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], tuple[int, int]]:
    """Count the statements and the files and folders opened that a call takes."""
    connect = _file._connect

    def traced(path: Path) -> sqlite3.Connection:
        database = connect(path)
        database.set_trace_callback(lambda text: _seen.append(f"sql {text}") if _seen is not None else None)
        return database

    def count(call: Callable[[], object]) -> tuple[int, int]:
        global _seen
        _seen = []
        try:
            call()
            statements = sum(line.startswith("sql ") for line in _seen)
            return statements, len(_seen) - statements
        finally:
            _seen = None

    monkeypatch.setattr(_file, "_connect", traced)
    return count


def end(flow: Flow, home: Path, count: int) -> None:
    """Put so many tasks that have ended into the journal and among the folders."""
    names, now, journal = [new_task_id() for _ in range(count)], time.time(), flow.session.journal
    journal.record_intents(
        (
            (NewTask(name, "train", "local", "local", '{"command": "true"}', now), NewSubmission(f"flow-{name}"))
            for name in names
        ),
        calling=True,
    )
    journal.mark_accepted_all({f"flow-{name}": f"local@local:flow-{name}" for name in names})
    journal.apply_all({name: TaskReport("succeeded", observed_at=now) for name in names})
    for name in names:
        (home / "state" / "local" / "done" / name[-2:] / f"flow-{name}").mkdir(parents=True)


@pytest.mark.timeout(900 if SOAK else 120)
def test_no_command_looks_at_more_beside_many_tasks_than_beside_few(
    home: Any, look: Any, looks: Callable[[Callable[[], object]], tuple[int, int]], capfd: pytest.CaptureFixture[str]
) -> None:
    flow = Flow()
    every = float(len(os.sched_getaffinity(0)))
    logs = flow.submit("echo said")
    assert logs.wait(timeout=60) == 0
    waiting = [flow.submit("sleep 600", cpus=every), *(flow.submit("true", cpus=every) for _ in range(10))]

    def measure() -> dict[str, tuple[int, int]]:
        # Until the queue has said who waits, at most a second after the last one came, each folder is looked at.
        look.until(lambda: len(board.read(str(home.root))) == len(waiting) - 1, "the queue")
        flow.refresh()
        return {
            "status": looks(lambda: run(["status"])),
            "status of one": looks(lambda: run(["status", logs.id])),
            "queue": looks(lambda: run(["queue"])),
            "logs": looks(lambda: run(["logs", logs.id])),
            "submit": looks(lambda: waiting.append(flow.submit("true", cpus=every))),
        }

    try:
        measure()
        few = measure()
        end(flow, home.folder, ENDED)
        waiting += [flow.submit("true", cpus=every) for _ in range(WAITING)]
        many = measure()
    finally:
        for task in reversed(waiting):
            flow.session.provider("local").cancel(parse_ref(task.row.ref or "")[2], 0.0)
    assert "said" in capfd.readouterr().out
    print(few, many)
    assert {what: (few[what], found) for what, found in many.items() if _grew(few[what], found)} == {}


def _grew(few: tuple[int, int], many: tuple[int, int]) -> bool:
    """A look that happens once a minute or so may fall into either."""
    return many[0] > few[0] + 4 or many[1] > few[1] + 4
