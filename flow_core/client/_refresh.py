"""Bringing the journal up to date: what became of crashed submissions, and what the providers report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from flow_core.client._reach import config_of, open_nodes
from flow_core.errors import FlowError, NotFoundError
from flow_core.types import TaskRef, TaskReport, format_ref, parse_ref

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.faces import Provider
    from flow_core.journal import SubmissionRow, TaskRow

RECONCILE_EVERY = 10.0
_MISSING_FOR = 30.0
CANCEL_REQUESTED = "task.cancel_requested"


def refresh(session: Session, tasks: Iterable[str] | None = None) -> dict[str, FlowError]:
    """Ask the providers about the open tasks (or those of ``tasks``, by id) and journal what they say.

    A task that is named is asked for also when it is lost: a record of its end may have turned up since.
    One status call per profile. Returns the profiles that could not be asked, with the reason: their tasks keep the
    state they had.
    """
    reconcile(session)
    rows = list(_open_rows(session, tasks))
    failed: dict[str, FlowError] = {}
    for profile in sorted({row.profile for row in rows}):
        try:
            _refresh_profile(session, profile, [row for row in rows if row.profile == profile])
        except FlowError as error:
            failed[profile] = error
    return failed


def _open_rows(session: Session, tasks: Iterable[str] | None) -> Iterable[TaskRow]:
    if tasks is None:
        return session.journal.open_tasks()
    rows = map(session.journal.task, sorted(set(tasks)))
    return (row for row in rows if row.ref is not None and (not row.is_final or row.state == "lost"))


def _refresh_profile(session: Session, profile: str, rows: list[TaskRow]) -> None:
    from flow_core.waiting import retry

    provider = session.provider(profile)
    refs = {row.id: parse_ref(row.ref or "")[2] for row in rows}
    reports = retry(lambda: provider.status(list(refs.values())))
    told = {row.id: reports[refs[row.id]] for row in rows if refs[row.id] in reports}
    if told:
        session.journal.forget_missing(session.journal.missing() & told.keys())
    told = {row.id: told[row.id] for row in rows if row.id in told and not _is_known(row, told[row.id])}
    for row in rows:
        if row.id in told and _is_silent(told[row.id]) and (end := _in_store(session, row.id)) is not None:
            told[row.id] = end
    ends = {row.id: refs[row.id] for row in rows if row.id in told and told[row.id].is_final}
    apply(
        session, {**told, **{name: _witnessed(session, provider, name, ref, told[name]) for name, ref in ends.items()}}
    )
    failed: list[FlowError] = []
    for row in rows:
        try:
            _follow_up(session, provider, row, refs[row.id], reports.get(refs[row.id]))
        except FlowError as error:  # of one task: the others are not to wait for it
            failed.append(error)
    if failed:
        raise failed[0]


def _follow_up(session: Session, provider: Provider, row: TaskRow, ref: TaskRef, report: TaskReport | None) -> None:
    """Look further for a task that its provider does not know; repeat a cancel, which may have been cut off."""
    if report is None:
        _missing(session, row, ref)
    elif row.cancel_requested_at is not None and not report.is_final:
        provider.cancel(ref, _grace(session, row))


def _is_silent(report: TaskReport) -> bool:
    """Whether a task has machines, and these do not say how it is: it may have ended, and they be off."""
    return report.state in ("provisioning", "running") and report.source == "provider"


def _witnessed(session: Session, provider: Provider, task_id: str, ref: TaskRef, report: TaskReport) -> TaskReport:
    """Return the end as the task's own folder has it, or its store: the provider knows the machine's only."""
    if report.source != "provider":
        return report
    return _in_folder(provider, ref) or _in_store(session, task_id) or report


def _in_store(session: Session, task_id: str) -> TaskReport | None:
    """Return the end as a task's store has it, where it has one that can be asked."""
    if session.journal.keeping(task_id) is None:
        return None
    from flow_core.client._kept import manifest

    try:
        return manifest(session, session.journal.task(task_id)).report
    except FlowError:
        return None


def _in_folder(provider: Provider, ref: TaskRef) -> TaskReport | None:
    """Return the end as a task's folder has it, where that can be read."""
    if "flow_node_access" not in provider.supports:
        return None
    try:
        found = [node.report() for node, _ in open_nodes(provider, ref)]
    except FlowError:  # the machine is gone
        found = []
    return next((told for told in found if told is not None and told.is_final), None)


def _grace(session: Session, row: TaskRow) -> float:
    """Return the grace that the last cancel of a task asked for, seconds: repeating it must not change that."""
    asked = [row_.event.data for row_ in session.journal.events(row.id) if row_.event.kind == CANCEL_REQUESTED]
    return float(asked[-1]["grace"]) if asked else config_of(row).grace


def _is_known(row: TaskRow, report: TaskReport) -> bool:
    """Whether a task still waits for the same reason: of ten thousand that do, none is looked up in the journal."""
    return (row.state, row.reason) == ("pending", report.reason) and report.state == "pending" and not report.attempts


def apply(session: Session, reports: Mapping[str, TaskReport]) -> None:
    """Journal what is reported of tasks (by id) and tell the host plugins what changed."""
    for change in session.journal.apply_all(reports):
        for event in change.events:
            session.host.event(event)


def _missing(session: Session, row: TaskRow, ref: TaskRef) -> None:
    """A provider does not know a task: believed only when it says so twice, 30 s apart, and finds no trace of it."""
    if (end := _in_store(session, row.id)) is not None:
        apply(session, {row.id: end})
    if end is not None or row.is_final:
        return
    journal, now = session.journal, time.time()
    since = journal.note_missing(row.id, now)
    if since == now:
        journal.add_event("task.missing", row.id, {"profile": row.profile, "ref": ref.id})
    if now - since < _MISSING_FOR:
        return
    request_ids = [submission.request_id for submission in journal.submissions(row.id)]
    if not session.provider(row.profile).find(request_ids, row.created_at):
        reason = f"{row.profile} no longer knows this task, and no record of its end was found"
        apply(session, {row.id: TaskReport("lost", reason, source="provider", observed_at=time.time())})
        journal.forget_missing([row.id])


def reconcile(session: Session) -> None:
    """Find out what became of submissions whose process died; at most once per profile in 10 s, only where some are open."""
    journal = session.journal
    profiles = {row.profile for row in journal.left_behind()}
    for profile in sorted(profiles):
        try:
            # Where a look costs nothing nobody waits for the next turn to see what a killed command has left.
            every = 0.0 if session.provider(profile).facts.prompt else RECONCILE_EVERY
            if journal.due_for_reconcile(profile, every):
                _cancel_duplicates(session, profile)
                _reconcile_profile(session, profile)
        except FlowError as error:
            journal.add_event("profile.unreachable", None, {"profile": profile, "reason": error.message})


def _reconcile_profile(session: Session, profile: str) -> None:
    """Decide what the dead have left; what cannot be decided now is given up, for whoever looks next."""
    journal = session.journal
    rows = [row for row in journal.unfinished(profile) if journal.claim(row.request_id)]
    try:
        for row in rows:
            if row.phase == "intent":
                _abandon(session, row)
        if calling := [row for row in rows if row.phase == "calling"]:
            _look_for(session, profile, calling)
    finally:
        for row in rows:
            journal.release(row.request_id)


def _look_for(session: Session, profile: str, calling: list[SubmissionRow]) -> None:
    provider = session.provider(profile)
    found = provider.find([row.request_id for row in calling], min(row.intent_at for row in calling))
    for row in calling:
        if refs := found.get(row.request_id):
            adopt(session, row.request_id, provider, refs)
        elif not 0 <= time.time() - (row.called_at or row.intent_at) < provider.facts.settle_seconds:
            _abandon(session, row)


def _abandon(session: Session, row: SubmissionRow) -> None:
    reason = row.error or "the command that submitted it was killed"
    session.journal.mark_abandoned(row.request_id, f"never submitted: {reason}", "cancelled")


def adopt(session: Session, request_id: str, provider: Provider, refs: Sequence[TaskRef]) -> None:
    """Take the oldest of the references; whatever else landed under the same request is cancelled, now or later."""
    journal = session.journal
    texts = [format_ref(provider.provider, provider.profile, ref) for ref in refs]
    event = journal.mark_accepted(request_id, texts[0])
    for text in texts[1:]:
        journal.mark_duplicate(request_id, text)
    if event is not None:
        session.host.event(event)
    if texts[1:]:
        _cancel_duplicates(session, provider.profile)


def _cancel_duplicates(session: Session, profile: str) -> None:
    """Cancel what is surplus; what cannot be cancelled now is left to whoever looks next."""
    for row in session.journal.duplicates(profile):
        try:
            with suppress(NotFoundError):
                session.provider(profile).cancel(parse_ref(row.ref or "")[2], 0.0)
        except FlowError as error:
            session.journal.add_event("task.duplicate_left", row.task_id, {"ref": row.ref or "", "why": error.message})
            continue
        session.journal.close_duplicate(row.request_id)
        session.journal.add_event("task.duplicate", row.task_id, {"ref": row.ref or ""})
