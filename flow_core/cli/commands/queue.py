"""``flow queue``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from flow_core.cli._envelope import emit
from flow_core.cli._options import json_option, provider_option
from flow_core.cli._table import show
from flow_core.cli._words import span
from flow_core.client import Flow
from flow_core.types import QueuedTask, format_size, parse_ref

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flow_core.journal import TaskRow

HEADER = ("PLACE", "ID", "NAME", "STATUS", "PRIORITY", "CPUS", "MEMORY", "GPUS", "TIME", "REASON")


@click.command("queue")
@provider_option
@json_option
def command(provider: str | None, as_json: bool) -> None:
    """Show what runs and what waits, in order, and why each waits."""
    flow = Flow()
    face = flow.provider(provider)
    tasks = face.queue()
    rows = _rows(flow, face.profile)
    flow.refresh([rows[task.ref.id].id for task in tasks if task.state == "running" and task.ref.id in rows])
    rows = _rows(flow, face.profile)
    if as_json:
        emit([_record(task, rows.get(task.ref.id)) for task in tasks])
    else:
        now = time.time()
        show(HEADER, [_line(task, rows.get(task.ref.id), now) for task in tasks], empty="nothing runs or waits")


def _rows(flow: Flow, profile: str) -> Mapping[str, TaskRow]:
    """Return the journal's open tasks of a profile by the provider's name for them."""
    rows = flow.session.journal.open_tasks()
    return {parse_ref(row.ref)[2].id: row for row in rows if row.ref and row.profile == profile}


def _record(task: QueuedTask, row: TaskRow | None) -> dict[str, object]:
    return {
        "id": task.task_id,
        "name": row.name if row else "",
        "status": task.state,
        "place": task.place,
        "priority": task.priority,
        "cpus": task.cpus,
        "memory": task.memory,
        "gpus": task.gpus,
        "gpu_ids": task.gpu_ids,
        "created_at": row.created_at if row else None,
        "started_at": row.started_at if row else None,
        "reason": task.reason,
        "ref": task.ref.id,
    }


def _line(task: QueuedTask, row: TaskRow | None, now: float) -> tuple[str, ...]:
    since = (row.started_at if task.state == "running" else None) or row.created_at if row else None
    return (
        "" if task.place is None else str(task.place),
        task.task_id,
        row.name if row else "",
        task.state,
        str(task.priority),
        f"{task.cpus:g}" if task.cpus else "",
        format_size(task.memory) if task.memory else "",
        _gpus(task),
        "" if since is None else span(now - since),
        task.reason,
    )


def _gpus(task: QueuedTask) -> str:
    if not task.gpus:
        return ""
    return f"{task.gpus} ({','.join(task.gpu_ids)})" if task.gpu_ids else str(task.gpus)
