"""What is past its time goes, and nothing that a task names."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from flow_core.client import Flow, Task
from flow_core.errors import NotFoundError
from flow_core.results import put_blob, sweep
from flow_core.types import ResultInfo
from flow_web_store import Kept

DAY = 86400.0


@pytest.fixture
def flow(work: Path, home: Path) -> Flow:
    (home / "config.yaml").write_text(f"result_stores:\n  folder: {{root: '{home}/kept', keep: 30d}}\n")
    return Flow(work)


def age(home: Path, days: float) -> None:
    """Make all objects older."""
    for path in (home / "kept").rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - days * DAY,) * 2)


def made(flow: Flow, kept: Kept, content: str) -> Task:
    task = flow.run(f"echo {content} >a", outputs=["a"], stream=False)
    assert kept(flow, task) == "kept"
    return task


def objects(flow: Flow, kind: str) -> int:
    return sum(1 for _ in flow.result_store("folder").list(kind))


def test_results_past_their_time_go_with_their_bytes_and_younger_ones_stay(flow: Flow, home: Path, kept: Kept) -> None:
    old = made(flow, kept, "old")
    age(home, 31)
    new = made(flow, kept, "new")
    (swept,) = flow.gc()
    assert (swept.tasks, swept.objects) == ((old.id,), 2)
    assert new.artifacts[0].open().read() == b"new\n"
    with pytest.raises(NotFoundError, match="gone"):
        _ = old.artifacts
    assert (objects(flow, "tasks/"), objects(flow, "blobs/")) == (1, 1)


def test_a_dry_run_removes_nothing_and_says_the_same(flow: Flow, home: Path, kept: Kept) -> None:
    made(flow, kept, "old")
    age(home, 31)
    assert flow.gc(dry_run=True) == flow.gc(dry_run=True)
    assert objects(flow, "") == 2
    (swept,) = flow.gc()
    assert (swept.objects, swept.left) == (2, 0)


def test_bytes_that_another_task_names_stay(flow: Flow, home: Path, kept: Kept) -> None:
    made(flow, kept, "same")
    age(home, 31)
    newer = made(flow, kept, "same")
    flow.gc()
    assert newer.artifacts[0].open().read() == b"same\n"


def test_bytes_that_are_put_again_are_young_again(flow: Flow, home: Path, kept: Kept) -> None:
    made(flow, kept, "x").remove_kept()
    age(home, 2)
    put_blob(flow.result_store("folder"), b"x\n")  # its manifest is still to come
    flow.gc()
    assert objects(flow, "blobs/") == 1


def test_bytes_that_became_young_while_others_were_swept_stay(flow: Flow, home: Path, kept: Kept) -> None:
    made(flow, kept, "x").remove_kept()
    age(home, 2)
    store = flow.result_store("folder")
    found = list(store.list())
    put_blob(store, b"x\n")

    class Late:
        """The store as a sweep saw it before."""

        name = store.name
        stat, get, delete = store.stat, store.get, store.delete

        def list(self, prefix: str = "") -> list[ResultInfo]:
            return [info for info in found if info.key.startswith(prefix)]

    sweep(Late(), None)  # type: ignore[arg-type]
    assert objects(flow, "blobs/") == 1


def test_bytes_that_nobody_names_yet_stay_for_a_day(flow: Flow, home: Path, kept: Kept) -> None:
    task = made(flow, kept, "x")
    task.remove_kept()
    flow.gc()
    assert objects(flow, "blobs/") == 1
    age(home, 1.1)
    flow.gc()
    assert objects(flow, "blobs/") == 0


def test_with_a_manifest_that_cannot_be_read_nothing_is_removed(flow: Flow, home: Path, kept: Kept) -> None:
    task = made(flow, kept, "x")
    (path,) = (home / "kept").rglob("final.json")
    path.write_text("{")
    age(home, 2)
    (swept,) = flow.gc()
    assert task.id in swept.error
    assert objects(flow, "blobs/") == 1
