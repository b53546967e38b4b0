"""When a machine's queue has to be started again."""

from __future__ import annotations

import fcntl
from pathlib import Path

from flow_core.nodes import is_abandoned


def test_tasks_that_nobody_serves_are_abandoned(tmp_path: Path) -> None:
    (tmp_path / "tasks" / "flow-1").mkdir(parents=True)
    assert is_abandoned(tmp_path)


def test_what_is_still_being_staged_is_not(tmp_path: Path) -> None:
    (tmp_path / "tasks" / ".flow-1.new").mkdir(parents=True)
    assert not is_abandoned(tmp_path)


def test_tasks_that_somebody_serves_are_not(tmp_path: Path) -> None:
    (tmp_path / "tasks" / "flow-1").mkdir(parents=True)
    with open(tmp_path / "serve.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not is_abandoned(tmp_path)
    assert is_abandoned(tmp_path)
