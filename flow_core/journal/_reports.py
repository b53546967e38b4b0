"""Reports into the journal: what a provider, a node or a store says of tasks, believed by one table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flow_core.journal import _events
from flow_core.journal._attempts import CLOSED, Held, read_attempts, write_attempt
from flow_core.journal._database import Database
from flow_core.journal._rows import AttemptChange, Change, TaskRow
from flow_core.journal._tasks import read_task
from flow_core.journal._verdict import Verdict, judge, settle
from flow_core.types import Attempt, Event, TaskReport, may_become

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

_REFUSED = "task.refused_transition"


class Reports(Database):
    """The journal's tasks, as they are told of."""

    def apply(self, task_id: str, report: TaskReport) -> Change | None:
        """Record a report and return what it changed, None (and nothing is written) when it says nothing new.

        States change by ``types.TRANSITIONS`` only; what contradicts them is recorded as ``task.refused_transition``
        and changes nothing. A task ends as cancelled when a cancel was recorded and it ended, unless its exit record
        is older than the cancel. NotFoundError when there is no such task.
        """
        return next(iter(self.apply_all({task_id: report})), None)

    def apply_all(self, reports: Mapping[str, TaskReport]) -> list[Change]:
        """Record reports by task id, all in one transaction, and return what they changed."""
        now = time.time()
        news = self._read(
            lambda db: [task_id for task_id, report in reports.items() if _says_news(db, task_id, report, now)]
        )
        if not news:
            return []
        # Read again inside the transaction: another process may have applied the same.
        return self._write(lambda db: [c for task_id in news if (c := _apply(db, task_id, reports[task_id], now))])

    def finish(self, task_id: str, state: str, reason: str, *, at: float | None = None) -> Change | None:
        """Record an end that only the client knows of (never submitted, refused, surely lost).

        None when the task is in this state; like :meth:`apply` in all else.
        """
        when = time.time() if at is None else at
        return self._write(lambda db: end_task(db, task_id, state, reason, when))


def end_task(db: sqlite3.Connection, task_id: str, state: str, reason: str, at: float) -> Change | None:
    """Put a task into a final state inside a transaction."""
    task, held = read_task(db, task_id), read_attempts(db, task_id)
    report = TaskReport(state, reason, source=CLOSED, observed_at=at)
    if may_become(task.state, state):
        return _record(db, task, held, settle(task, held, report, at), report, at)
    why = f"a task that is {task.state} does not become {state}"
    return _record(db, task, held, Verdict(task, (task.state, state), held, why), report, at)


def _apply(db: sqlite3.Connection, task_id: str, report: TaskReport, now: float) -> Change | None:
    task, held = read_task(db, task_id), read_attempts(db, task_id)
    return _record(db, task, held, judge(task, held, report, now), report, now)


def _says_news(db: sqlite3.Connection, task_id: str, report: TaskReport, now: float) -> bool:
    task = read_task(db, task_id)
    if report.is_final and not task.is_final:
        return True
    held = read_attempts(db, task_id)
    verdict = judge(task, held, report, now)
    if verdict.refused:
        return not _events.is_last(db, _refusal(task, verdict, report, now))
    return verdict.task != task or verdict.attempts != held


def _record(
    db: sqlite3.Connection,
    task: TaskRow,
    held: Mapping[int, Held],
    verdict: Verdict,
    report: TaskReport,
    now: float,
) -> Change | None:
    if verdict.refused:
        return _record_refusal(db, task, _refusal(task, verdict, report, now))
    changed = [number for number, new in verdict.attempts.items() if held.get(number) != new]
    if verdict.task == task and not changed:
        return None
    _update(db, verdict.task, now)
    request_id = _request_of(db, task.id) if changed else None
    for number in changed:
        write_attempt(db, task.id, request_id, verdict.attempts[number])
    attempts = tuple(
        AttemptChange(held[number].attempt if number in held else None, verdict.attempts[number].attempt)
        for number in sorted(changed)
    )
    events = tuple(_events_of(verdict, attempts, now))
    for event in events:
        _events.record(db, event)
    return Change(verdict.task, verdict.states, attempts, events)


def _record_refusal(db: sqlite3.Connection, task: TaskRow, event: Event) -> Change | None:
    if _events.is_last(db, event):
        return None
    _events.record(db, event)
    return Change(task, (task.state,), events=(event,), refused=event.data["why"])


def _refusal(task: TaskRow, verdict: Verdict, report: TaskReport, now: float) -> Event:
    told = {"from": task.state, "to": verdict.states[-1], "source": report.source, "why": verdict.refused}
    return Event(_REFUSED, now, task.id, data=told)


def _update(db: sqlite3.Connection, task: TaskRow, now: float) -> None:
    db.execute(
        "UPDATE tasks SET state = ?, reason = ?, exit_code = ?, started_at = ?, ended_at = ?, attempt = ?, "
        "updated_at = ? WHERE id = ?",
        (task.state, task.reason, task.exit_code, task.started_at, task.ended_at, task.attempt, now, task.id),
    )


def _request_of(db: sqlite3.Connection, task_id: str) -> str | None:
    query = "SELECT request_id FROM submissions WHERE task_id = ? AND phase = 'accepted' ORDER BY number DESC LIMIT 1"
    found = db.execute(query, (task_id,)).fetchone()
    return found[0] if found else None


def _events_of(verdict: Verdict, attempts: tuple[AttemptChange, ...], now: float) -> Iterator[Event]:
    task = verdict.task
    for change in attempts:
        yield from _attempt_events(task.id, change.old, change.new, now)
    for old, new in zip(verdict.states, verdict.states[1:]):  # noqa: B905 - pairs of neighbours: one is shorter
        data = {"from": old, "to": new, "reason": task.reason}
        if task.exit_code is not None:
            data["exit_code"] = str(task.exit_code)
        yield Event("task.state", now, task.id, task.attempt, data=data)


def _attempt_events(task_id: str, old: Attempt | None, new: Attempt, now: float) -> Iterator[Event]:
    if old is None or old.state != new.state:
        data = {"from": old.state if old else "", "to": new.state, "reason": new.reason}
        yield Event("task.attempt", now, task_id, new.number, data=data)
    if new.preempt_notice_at is not None and (old is None or old.preempt_notice_at is None):
        yield Event("task.preempt_notice", now, task_id, new.number, data={"at": str(new.preempt_notice_at)})
    were_ready = {node.rank for node in old.nodes if node.ready} if old else set()
    for node in new.nodes:
        if node.ready and node.rank not in were_ready:
            yield Event("task.ready", now, task_id, new.number, node.rank)
