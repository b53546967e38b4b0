"""Tasks as JSON rows and as lines of a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flow_core.cli._words import ago, span, stamp

if TYPE_CHECKING:
    from flow_core.client import Flow
    from flow_core.journal import TaskRow
    from flow_core.types import Attempt, NodeReport

HEADER = ("ID", "NAME", "STATUS", "EXIT", "PROFILE", "TYPE", "NODES", "CREATED", "TIME", "REASON")


def record(row: TaskRow, attempts: Iterable[Attempt]) -> dict[str, object]:
    """Return what ``status --json`` says of a task; times are UTC seconds."""
    known = list(attempts)
    return {
        "id": row.id,
        "name": row.name,
        "provider": row.provider,
        "profile": row.profile,
        "status": row.state,
        "exit_code": row.exit_code,
        "reason": row.reason,
        "ready": row.state == "running" and bool(known) and all(node.ready for node in known[-1].nodes),
        "created_at": row.created_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "cancel_requested_at": row.cancel_requested_at,
        "instance_type": row.instance_type,
        "num_instances": row.num_instances,
        "attempt": row.attempt,
        "labels": row.labels,
        "ref": row.ref,
        "nodes": [node_record(node) for node in (known[-1].nodes if known else ())],
    }


def node_record(node: NodeReport) -> dict[str, object]:
    """Return what JSON says of one node."""
    return {
        "rank": node.rank,
        "status": node.state,
        "exit_code": node.exit_code,
        "signal": node.signal,
        "name": node.name,
        "address": node.address,
        "ready": node.ready,
        "started_at": node.started_at,
        "ended_at": node.ended_at,
        "reason": node.reason,
        "signal_inferred": node.signal_inferred,
    }


def attempt_record(attempt: Attempt) -> dict[str, object]:
    """Return what JSON says of one attempt."""
    return {
        "number": attempt.number,
        "status": attempt.state,
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "reason": attempt.reason,
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "nodes": [node_record(node) for node in attempt.nodes],
    }


def detail(flow: Flow, row: TaskRow) -> dict[str, object]:
    """Return a task's row with all of its attempts."""
    attempts = flow.session.journal.attempts(row.id)
    told = [attempt_record(attempt) for attempt in attempts]
    return {**record(row, attempts), "attempts": told, "results": results(flow, row)}


def results(flow: Flow, row: TaskRow) -> dict[str, object] | None:
    """Return where a task's results go and how much is there, in bytes; None for a task that keeps none."""
    keeping = flow.session.journal.keeping(row.id)
    if keeping is None:
        return None
    sizes = [upload.bytes for upload in flow.session.journal.uploads(row.id)]
    return {
        "store": keeping.store,
        "phase": keeping.phase,
        "files": len(sizes),
        "bytes": sum(sizes),
        "error": keeping.error,
    }


def line(row: TaskRow, now: float, relative: bool) -> tuple[str, ...]:
    """Return a task's cells under :data:`HEADER`; ``relative`` says ``3m ago`` where else the time stands."""
    return (
        row.id,
        row.name,
        row.state,
        "" if row.exit_code is None else str(row.exit_code),
        row.profile,
        row.instance_type or "",
        str(row.num_instances),
        ago(row.created_at, now) if relative else stamp(row.created_at),
        run_time(row.started_at, row.ended_at, now),
        row.reason,
    )


def run_time(started: float | None, ended: float | None, now: float) -> str:
    """Return how long something ran, or has run by now."""
    return "" if started is None else span((now if ended is None else ended) - started)
