"""The line before one machine: who runs, who waits, and why."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from flow_core.runner import board, record
from flow_core.types import QueuedTask, TaskRef, TaskReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def queue(root: Path) -> list[QueuedTask]:
    """Return the tasks of ``root`` that have not ended: those that run, then those that wait, in order.

    Who waits is what its supervisor said last, at most some seconds ago; what came since stands at the end.
    """
    waiting, begun = board.waiting(str(root), _live(root))
    line = [_waiting(entry) for entry in board.read(str(root)) if entry.folder in waiting]
    others = [task for name in begun if (task := _read(root, name)) is not None]
    new = [task for task in others if task.state == "pending"]
    return [*(task for task in others if task.state != "pending"), *line, *new]


def waiting_reports(root: Path, request_ids: Iterable[str]) -> dict[str, TaskReport]:
    """Report on those tasks that surely wait; opens no folder however many they are, and leaves out the others."""
    reasons, _ = board.waiting(str(root), request_ids)
    now = time.time()
    return {name: TaskReport("pending", reason, source="node", observed_at=now) for name, reason in reasons.items()}


def _live(root: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(root / "tasks") if not name.startswith("."))
    except FileNotFoundError:
        return []


def _waiting(entry: board.Entry) -> QueuedTask:
    return QueuedTask(
        TaskRef(entry.folder),
        entry.task_id,
        "pending",
        entry.reason,
        place=entry.place or None,
        priority=entry.priority,
        **entry.claim,
    )


def _read(root: Path, name: str) -> QueuedTask | None:
    """A task that runs, or that came a moment ago; None when it has ended meanwhile."""
    folder = f"{root}/tasks/{name}"
    document = record.read_json(f"{folder}/bundle.json")
    if document is None:
        return None
    has_begun = os.path.exists(f"{folder}/attempts")
    grant = record.read_json(f"{folder}/grant.json") or {}
    return QueuedTask(
        TaskRef(name),
        str(document.get("task_id", name)),
        "running" if has_begun else "pending",
        "" if has_begun else "waiting to start",
        priority=int(document.get("priority") or 0),
        gpu_ids=tuple(grant.get("gpus", ())),
        **_claim(document),
    )


def _claim(document: Mapping[str, Any]) -> dict[str, Any]:
    limits, ranks = document.get("limits") or {}, int(document.get("num_instances") or 1)
    found = {"cpus": limits.get("cpus"), "memory": limits.get("memory"), "gpus": limits.get("gpu_count")}
    return {name: value * ranks for name, value in found.items() if value}
