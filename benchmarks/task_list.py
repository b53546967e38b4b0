"""``flow status`` with 10,000 tasks in the journal, beside an interpreter that does nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, in_turns
from benchmarks.place import Place, flow_command, python_command, run_time

if TYPE_CHECKING:
    from pathlib import Path

TASKS = 10_000
BUDGET = 10.0


def measure(place: Place) -> list[Figure]:
    """Return the figures."""
    fill(TASKS)
    found = in_turns(
        place.rounds(25),
        {
            "floor": lambda: run_time(python_command("pass")),
            "status": lambda: run_time(flow_command("status")),
            "status --json": lambda: run_time(flow_command("status", "--json")),
        },
    )
    budgets = {"status": BUDGET, "status --json": None}
    return [
        Figure(name, f"flow {name}, {TASKS} ended tasks", "python -c pass", found["floor"], found[name], budget=budget)
        for name, budget in budgets.items()
    ]


def fill(count: int) -> Path:
    """Record so many tasks that were accepted and have ended; return the journal's file."""
    from flow_core.journal import Journal, NewSubmission, NewTask
    from flow_core.settings import paths
    from flow_core.types import Attempt, NodeReport, TaskReport, new_task_id

    now = time.time() - count
    names = [new_task_id() for _ in range(count)]
    config = '{"command": "python train.py", "name": "train"}'
    path = paths().state_dir / "journal.db"
    with Journal(path) as journal:
        journal.record_intents(
            (NewTask(name, f"train-{at % 100}", "local", "local", config, now + at), NewSubmission(f"r-{name}"))
            for at, name in enumerate(names)
        )
        journal.mark_calling(*(f"r-{name}" for name in names))
        journal.mark_accepted_all({f"r-{name}": f"local@local:r-{name}" for name in names})
        journal.apply_all(
            {
                name: TaskReport(
                    "succeeded",
                    attempts=(
                        Attempt(
                            1,
                            "succeeded",
                            started_at=now + at,
                            ended_at=now + at + 1,
                            exit_code=0,
                            nodes=(
                                NodeReport(0, "succeeded", started_at=now + at, ended_at=now + at + 1, exit_code=0),
                            ),
                        ),
                    ),
                    observed_at=now + at + 1,
                )
                for at, name in enumerate(names)
            }
        )
    return path
