"""Bringing the journal up to date: what became of crashed submissions, and what the providers report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from flow_core.errors import FlowError
from flow_core.types import TaskConfig, TaskRef, TaskReport, format_ref, parse_ref

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.journal import SubmissionRow, TaskRow

RECONCILE_EVERY = 10.0
_MISSING_FOR = 30.0


def refresh(session: Session, tasks: Iterable[str] | None = None) -> dict[str, FlowError]:
    """Ask the providers about the open tasks (or those of ``tasks``, by id) and journal what they say.

    One status call per profile. Returns the profiles that could not be asked, with the reason: their tasks keep the
    state they had.
    """
    reconcile(session)
    wanted = None if tasks is None else set(tasks)
    rows = [row for row in session.journal.open_tasks() if wanted is None or row.id in wanted]
    failed: dict[str, FlowError] = {}
    for profile in sorted({row.profile for row in rows if row.ref}):
        try:
            _refresh_profile(session, profile, [row for row in rows if row.profile == profile and row.ref])
        except FlowError as error:
            failed[profile] = error
    return failed


def _refresh_profile(session: Session, profile: str, rows: list[TaskRow]) -> None:
    from flow_core.waiting import retry

    provider = session.provider(profile)
    refs = {row.id: parse_ref(row.ref or "")[2] for row in rows}
    reports = retry(lambda: provider.status(list(refs.values())))
    news = [row for row in rows if refs[row.id] in reports and not _is_known(row, reports[refs[row.id]])]
    apply(session, {row.id: reports[refs[row.id]] for row in news})
    for row in rows:
        report = reports.get(refs[row.id])
        if report is None:
            _missing(session, row, refs[row.id])
        if row.cancel_requested_at is not None and report is not None and not report.is_final:
            provider.cancel(refs[row.id], config_of(row).grace)


def _is_known(row: TaskRow, report: TaskReport) -> bool:
    """Whether a task still waits for the same reason: of ten thousand that do, none is looked up in the journal."""
    return (row.state, row.reason) == ("pending", report.reason) and report.state == "pending" and not report.attempts


def config_of(row: TaskRow) -> TaskConfig:
    """Return the config that a task was submitted with."""
    import json

    from flow_core.spec import from_mapping

    return from_mapping(json.loads(row.config))


def apply(session: Session, reports: Mapping[str, TaskReport]) -> None:
    """Journal what is reported of tasks (by id) and tell the host plugins what changed."""
    for change in session.journal.apply_all(reports):
        for event in change.events:
            session.host.event(event)


def _missing(session: Session, row: TaskRow, ref: TaskRef) -> None:
    """A provider does not know a task: believed only when it says so twice, 30 s apart, and finds no trace of it."""
    journal = session.journal
    first = next((row_.event.at for row_ in journal.events(row.id) if row_.event.kind == "task.missing"), None)
    if first is None:
        journal.add_event("task.missing", row.id, {"profile": row.profile, "ref": ref.id})
        return
    if abs(time.time() - first) < _MISSING_FOR:
        return
    request_ids = [submission.request_id for submission in journal.submissions(row.id)]
    if not session.provider(row.profile).find(request_ids, row.created_at):
        reason = f"{row.profile} no longer knows this task, and no record of its end was found"
        apply(session, {row.id: TaskReport("lost", reason, source="provider", observed_at=time.time())})


def reconcile(session: Session) -> None:
    """Find out what became of submissions whose process died; at most once per profile in 10 s, only where some are open."""
    profiles = {row.profile for row in session.journal.unfinished()}
    for profile in sorted(profiles):
        if session.journal.due_for_reconcile(profile, RECONCILE_EVERY):
            try:
                _reconcile_profile(session, profile)
            except FlowError as error:
                session.journal.add_event("profile.unreachable", None, {"profile": profile, "reason": error.message})


def _reconcile_profile(session: Session, profile: str) -> None:
    journal = session.journal
    rows = journal.unfinished(profile)
    calling = [row for row in rows if row.phase == "calling"]
    for row in rows:
        if row.phase == "intent":
            _abandon(session, row)
    if not calling:
        return
    provider = session.provider(profile)
    found = provider.find([row.request_id for row in calling], min(row.intent_at for row in calling))
    for row in calling:
        refs = found.get(row.request_id, [])
        if refs:
            _accept(session, row, refs)
        elif not 0 <= time.time() - (row.called_at or row.intent_at) < provider.facts.settle_seconds:
            _abandon(session, row)


def _abandon(session: Session, row: SubmissionRow) -> None:
    reason = "never submitted: the command that submitted it was killed"
    session.journal.mark_abandoned(row.request_id, reason, "cancelled")


def _accept(session: Session, row: SubmissionRow, refs: list[TaskRef]) -> None:
    """Adopt the oldest of the references; whatever else landed under the same request is cancelled."""
    provider = session.provider(row.profile)
    session.journal.mark_accepted(row.request_id, format_ref(provider.provider, provider.profile, refs[0]))
    for double in refs[1:]:
        provider.cancel(double, 0.0)
        session.journal.add_event("task.duplicate", row.task_id, {"ref": double.id})
