"""What a task's ``outputs`` name outlives it."""

from __future__ import annotations

import time
from pathlib import Path

from flow_core.client import Flow, Task


def kept(flow: Flow, task: Task) -> str:
    """Wait until a task's results are in its store; return the phase."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        flow.refresh([task.id])
        row = flow.session.journal.keeping(task.id)
        assert row is not None
        if row.phase != "open":
            return row.phase
        time.sleep(0.02)
    raise AssertionError(row)


def test_artifacts_are_kept_though_the_file_is_overwritten(flow: Flow, work: Path) -> None:
    task = flow.run("mkdir -p out && echo one >out/a.txt && echo two >b.txt", outputs=["out", "*.txt"], stream=False)
    assert kept(flow, task) == "kept"
    (work / "b.txt").write_text("changed")
    assert [(one.path, one.size) for one in task.artifacts] == [("b.txt", 4), ("out/a.txt", 4)]
    assert task.artifacts[0].open().read() == b"two\n"
