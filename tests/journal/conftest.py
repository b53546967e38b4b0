"""A journal in a folder of its own, and tasks to put into it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from flow_core.journal import Journal, NewSubmission, NewTask, TaskRow
from flow_core.types import new_request_id, new_task_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_clock = itertools.count()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal(path) as opened:
        yield opened


@pytest.fixture
def new() -> Callable[..., tuple[NewTask, NewSubmission]]:
    def make(name: str = "train", **fields: Any) -> tuple[NewTask, NewSubmission]:
        given = {"provider": "toy", "profile": "here", "config": "{}", "created_at": 1e9 + next(_clock), **fields}
        return NewTask(given.pop("id", None) or new_task_id(), name, **given), NewSubmission(new_request_id())

    return make


@pytest.fixture
def accepted(journal: Journal, new: Callable[..., tuple[NewTask, NewSubmission]]) -> Callable[..., TaskRow]:
    def submit(name: str = "train", **fields: Any) -> TaskRow:
        task, submission = new(name, **fields)
        journal.record_intent(task, submission)
        journal.mark_calling(submission.request_id)
        journal.mark_accepted(submission.request_id, f"toy@here:{submission.request_id}")
        return journal.task(task.id)

    return submit
