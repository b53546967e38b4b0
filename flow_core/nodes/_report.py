"""What a task's folder says, as records."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from flow_core.errors import NotFoundError, StateError
from flow_core.runner import bundle, outcome, record, task
from flow_core.types import FINAL_STATES, Attempt, NodeReport, TaskListing, TaskRef, TaskReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
_LIVE = "tasks"


def report(folder: Path) -> TaskReport:
    """Return what the task's folder says now; right while it runs, after its end, and when its runner was killed.

    Where nothing of a spawned task runs any more and all its runners were killed, they are started again: they begin the
    next attempt, or put away what its end leaves (secrets, results on their way). Raises NotFoundError when there is no
    such task.
    """
    found = at_home(folder, _observe)
    if _is_left(folder, found):
        from flow_core.nodes._process import revive

        revive(folder)
    return parse_report(found)


def _is_left(folder: Path, found: Mapping[str, Any]) -> bool:
    """Whether all that was begun has ended, and nobody has written down an end; a preempted one its platform begins again."""
    last = found["attempts"][-1]["state"] if found["attempts"] else ""
    over = found["state"] in FINAL_STATES or (last in FINAL_STATES and last != "preempted")
    return over and not (folder / "final.json").exists()


def conclude(folder: Path, report: TaskReport) -> None:
    """Keep ``report`` as the end of a task whose runner could not say it, and remove its secrets.

    For a provider that knows that nothing runs any more; nothing happens when the folder has an end, or is gone.
    Raises StateError when it cannot be written.
    """
    try:
        if record.read_final(str(folder)) is None and folder.is_dir():
            task.finish(str(folder), document(report), _bundle(folder))
    except OSError as error:
        raise StateError(f"cannot write in {folder}: {error.strerror}", "free some space") from error


def document(report: TaskReport) -> dict[str, Any]:
    """Return a report as the runner writes it."""
    return attrs.asdict(report, filter=lambda field, _: field.name not in ("price_per_hour", "machine_held"))


def _bundle(folder: Path) -> bundle.Bundle | None:
    try:
        return bundle.read(str(folder))
    except bundle.BundleError:
        return None


def size(folder: Path) -> int:
    """Return the number of nodes of the task. Raises NotFoundError when there is no such task."""
    document = at_home(folder, _document)
    count = document.get("num_instances")
    return count if isinstance(count, int) else 1


def listing(folder: Path) -> TaskListing:
    """Return what a task's folder says of the task itself. Raises NotFoundError when there is no such task."""
    document = at_home(folder, _document)
    created, config = document.get("created_at"), document.get("config")
    return TaskListing(
        ref=TaskRef(folder.name),
        request_id=str(document.get("request_id", folder.name)),
        task_id=str(document.get("task_id", folder.name)),
        name=str(document.get("name", "task")),
        created_at=float(created) if isinstance(created, (int, float)) else 0.0,
        config=config if isinstance(config, dict) else {},
    )


def locate(root: Path, request_id: str) -> Path | None:
    """Return the folder of a task of a served ``root``, live or ended; None when the machine has none of that name."""
    found = record.locate(str(root), request_id)
    return None if found is None else Path(found)


def at_home(folder: Path, look: Callable[[Path], T]) -> T:
    """Return ``look(folder)``; a folder that a queue has put away meanwhile is looked up where it lies now."""
    try:
        return look(folder)
    except FileNotFoundError:
        moved = locate(folder.parent.parent, folder.name) if folder.parent.name == _LIVE else None
    try:
        return look(moved or folder)
    except FileNotFoundError:
        raise NotFoundError(f"there is no task folder {folder}", "see what there is with `flow status`") from None


def parse_report(doc: Mapping[str, Any]) -> TaskReport:
    """Read the runner's report; keys that are not known are left alone."""
    return TaskReport(
        state=doc["state"],
        reason=doc.get("reason", ""),
        attempts=tuple(_attempt(one) for one in doc.get("attempts", ())),
        source=doc.get("source", "node"),
        observed_at=doc.get("observed_at") or time.time(),
        machine_held=bool(doc.get("machine_held")),
    )


def _observe(folder: Path) -> dict[str, Any]:
    found = outcome.report(str(folder))
    folder.stat()  # what was put away while it was looked at looks like a task that has not begun
    return found


def _document(folder: Path) -> Mapping[str, Any]:
    found = record.read_json(str(folder / "bundle.json"))
    if found is None:
        folder.stat()
    return found or {}


def _attempt(doc: Mapping[str, Any]) -> Attempt:
    return Attempt(
        number=doc["number"],
        state=doc["state"],
        exit_code=doc.get("exit_code"),
        signal=doc.get("signal"),
        reason=doc.get("reason", ""),
        started_at=doc.get("started_at"),
        ended_at=doc.get("ended_at"),
        nodes=tuple(_node(one) for one in doc.get("nodes", ())),
        preempt_notice_at=doc.get("preempt_notice_at"),
    )


def _node(doc: Mapping[str, Any]) -> NodeReport:
    return NodeReport(
        rank=doc["rank"],
        state=doc["state"],
        exit_code=doc.get("exit_code"),
        signal=doc.get("signal"),
        name=doc.get("name"),
        address=doc.get("address"),
        ready=bool(doc.get("ready")),
        started_at=doc.get("started_at"),
        ended_at=doc.get("ended_at"),
        reason=doc.get("reason", ""),
        signal_inferred=bool(doc.get("signal_inferred")),
    )
