"""Submissions: an intent first, then what became of it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, TypeVar

from flow_core.errors import ConflictError, NotFoundError
from flow_core.journal import _events
from flow_core.journal._boot import boot_id
from flow_core.journal._database import Database
from flow_core.journal._reports import end_task
from flow_core.journal._rows import Change, NewSubmission, NewTask, SubmissionRow, TaskRow
from flow_core.journal._tasks import read_by_key, read_task
from flow_core.types import Event

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")

_COLUMNS = (
    "s.request_id, s.task_id, s.number, s.phase, s.ref, s.bundle_sha256, s.pid, s.boot_id, s.owner, s.intent_at, "
    "s.called_at, s.accepted_at, s.gave_up_at, s.error, t.provider, t.profile"
)
_UNDECIDED = ("intent", "calling")


class Submissions(Database):
    """The journal's submissions. Each is worked on by one process, its owner, until it is decided."""

    def record_intent(self, task: NewTask, submission: NewSubmission, calling: bool = False) -> TaskRow:
        """Record a task and the intent to submit it; the task of the same key and config (``existing``) if any.

        ``calling``: as :meth:`mark_calling` too, where nothing lies between the two. ConflictError when the idempotency
        key belongs to a task of another config. A task that ended without ever being accepted gives its key up.
        """
        return self.record_intents([(task, submission)], calling)[0]

    def record_intents(self, new: Iterable[tuple[NewTask, NewSubmission]], calling: bool = False) -> list[TaskRow]:
        """Record many tasks as :meth:`record_intent` does, all or none."""
        pairs = list(new)
        return self._owned(
            lambda db, owner: [_record_intent(db, task, submission, owner, calling) for task, submission in pairs],
            full=any(task.money for task, _ in pairs),
        )

    def add_submission(self, task_id: str, submission: NewSubmission) -> SubmissionRow:
        """Record the intent to submit a live task again; ConflictError when it ended or another try is under way."""
        costs = self._read(lambda db: any(_costs(db, row.request_id) for row in of_task(db, task_id)))
        return self._owned(lambda db, owner: _resubmit(db, task_id, submission, owner), full=costs)

    def adopt(self, task: NewTask, ref: str, request_id: str) -> TaskRow:
        """Record a task that was found again where it runs; the one that is there already (``existing``) stays.

        Tasks are listed in the order in which they were recorded: adopt the oldest first.
        """
        return self._owned(lambda db, owner: _adopt(db, task, ref, request_id, owner), full=task.money)

    def mark_calling(self, *request_ids: str) -> None:
        """Record that the provider is about to be called: from here on the outcome may be unknown.

        ConflictError when one of them is decided already.
        """
        costs = self._read(lambda db: any(_costs(db, request_id) for request_id in request_ids))
        self._owned(lambda db, owner: _mark_calling(db, request_ids, owner), full=costs)

    def mark_accepted(self, request_id: str, ref: str) -> Event | None:
        """Record the reference's text and the event ``task.submitted``, which is returned; None when it was known.

        ConflictError when the submission was decided otherwise: see :meth:`mark_duplicate`.
        """
        return next(iter(self.mark_accepted_all({request_id: ref})), None)

    def mark_accepted_all(self, refs: Mapping[str, str]) -> list[Event]:
        """Record references by request id, all in one transaction."""
        now = time.time()
        return self._write(lambda db: [e for rid, ref in refs.items() if (e := _mark_accepted(db, rid, ref, now))])

    def mark_refused(self, request_id: str, error: str, task_state: str | None = None) -> Change | None:
        """Record the provider's no and, with ``task_state``, that the task ended so, for this reason."""
        return self._give_up(request_id, "refused", error, task_state)

    def mark_abandoned(self, request_id: str, error: str, task_state: str | None = None) -> Change | None:
        """Record that it surely never arrived and, with ``task_state``, that the task ended so, for this reason."""
        return self._give_up(request_id, "abandoned", error, task_state)

    def mark_duplicate(self, request_id: str, ref: str) -> SubmissionRow:
        """Record a surplus ``ref`` of this request, to be cancelled; it stays in :meth:`duplicates` until closed."""
        return self._owned(lambda db, owner: _mark_duplicate(db, request_id, ref, owner), full=True)

    def close_duplicate(self, request_id: str) -> None:
        """Record that a duplicate (named by its own row's ``request_id``) is cancelled or gone."""
        values = (time.time(), request_id)
        query = "UPDATE submissions SET gave_up_at = ? WHERE request_id = ? AND phase = 'duplicate'"
        self._write(lambda db: db.execute(query, values))

    def submission(self, request_id: str) -> SubmissionRow:
        """Return one submission; NotFoundError when there is none."""
        return self._read(lambda db: _read(db, request_id))

    def submissions(self, task_id: str) -> list[SubmissionRow]:
        """Return a task's submissions, first to last."""
        return self._read(lambda db: of_task(db, task_id))

    def _give_up(self, request_id: str, phase: str, error: str, task_state: str | None) -> Change | None:
        now = time.time()

        def work(db: sqlite3.Connection) -> Change | None:
            row = _read(db, request_id)
            _decide(row, (*_UNDECIDED, phase))
            query = "UPDATE submissions SET phase = ?, error = ?, gave_up_at = ? WHERE request_id = ?"
            db.execute(query, (phase, error, now, request_id))
            return end_task(db, row.task_id, task_state, error, now) if task_state is not None else None

        return self._write(work)

    def _owned(self, work: Callable[[sqlite3.Connection, str], T], full: bool) -> T:
        """Return ``work`` of a transaction and of this process's lock file, which is made when it is first needed."""
        return self._write(lambda db: work(db, self._owner.name), full)


def of_task(db: sqlite3.Connection, task_id: str) -> list[SubmissionRow]:
    """Return a task's submissions, first to last."""
    return select(db, "WHERE s.task_id = ? ORDER BY s.number, s.rowid", task_id)


def select(db: sqlite3.Connection, clauses: str, *values: object) -> list[SubmissionRow]:
    """Return submissions ``s`` with their tasks ``t``."""
    query = f"SELECT {_COLUMNS} FROM submissions s JOIN tasks t ON t.id = s.task_id {clauses}"
    return [SubmissionRow._make(row) for row in db.execute(query, values)]


def _read(db: sqlite3.Connection, request_id: str) -> SubmissionRow:
    found = select(db, "WHERE s.request_id = ?", request_id)
    if not found:
        raise NotFoundError(f"the journal knows no submission {request_id}", "`flow status` lists the tasks it knows")
    return found[0]


def _decide(row: SubmissionRow, phases: tuple[str, ...]) -> None:
    if row.phase not in phases:
        hint = f"`flow status {row.task_id}` tells what became of its task"
        raise ConflictError(f"submission {row.request_id} is {row.phase} already", hint, {"task_id": row.task_id})


def _costs(db: sqlite3.Connection, request_id: str) -> bool:
    query = "SELECT t.money FROM submissions s JOIN tasks t ON t.id = s.task_id WHERE s.request_id = ?"
    return bool((db.execute(query, (request_id,)).fetchone() or (0,))[0])


def _record_intent(
    db: sqlite3.Connection, task: NewTask, submission: NewSubmission, owner: str, calling: bool
) -> TaskRow:
    earlier = read_by_key(db, task.idempotency_key) if task.idempotency_key is not None else None
    if earlier and not (earlier.is_final and earlier.ref is None):
        if earlier.fingerprint == task.fingerprint:
            return earlier._replace(existing=True)
        raise ConflictError(
            f"the idempotency key {task.idempotency_key!r} belongs to task {earlier.id} ({earlier.name})",
            "its config is another: use another key, or the config that it was submitted with",
            {"task_id": earlier.id},
        )
    if earlier:
        db.execute("UPDATE tasks SET idempotency_key = NULL WHERE id = ?", (earlier.id,))
    _insert_task(db, task)
    _insert_submission(db, task.id, submission, owner, task.created_at, 1, calling)
    return read_task(db, task.id)


def _insert_task(db: sqlite3.Connection, task: NewTask, with_key: bool = True) -> None:
    db.execute(
        "INSERT INTO tasks (id, name, provider, profile, state, created_at, updated_at, idempotency_key, fingerprint, "
        "money, labels, instance_type, num_instances, config) "
        "VALUES (?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            task.id,
            task.name,
            task.provider,
            task.profile,
            task.created_at,
            task.created_at,
            task.idempotency_key if with_key else None,
            task.fingerprint,
            task.money,
            json.dumps(dict(task.labels), sort_keys=True),
            task.instance_type,
            task.num_instances,
            task.config,
        ),
    )


def _insert_submission(
    db: sqlite3.Connection,
    task_id: str,
    submission: NewSubmission,
    owner: str,
    at: float,
    number: int | None = None,
    calling: bool = False,
) -> None:
    if number is None:
        query = "SELECT coalesce(max(number), 0) + 1 FROM submissions WHERE task_id = ?"
        number = db.execute(query, (task_id,)).fetchone()[0]
    db.execute(
        "INSERT INTO submissions (request_id, task_id, number, bundle_sha256, pid, boot_id, owner, intent_at, phase, "
        "called_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            submission.request_id,
            task_id,
            number,
            submission.bundle_sha256,
            *identity_of(owner),
            at,
            "calling" if calling else "intent",
            at if calling else None,
        ),
    )


def _resubmit(db: sqlite3.Connection, task_id: str, submission: NewSubmission, owner: str) -> SubmissionRow:
    task = read_task(db, task_id)
    if task.is_final:
        raise ConflictError(f"task {task_id} ended as {task.state}: it is not submitted again", "submit a new task")
    if other := select(db, "WHERE s.task_id = ? AND s.phase IN (?, ?)", task_id, *_UNDECIDED):
        raise ConflictError(f"task {task_id} is being submitted as {other[0].request_id}", "wait for that submission")
    _insert_submission(db, task_id, submission, owner, time.time())
    return _read(db, submission.request_id)


def _adopt(db: sqlite3.Connection, task: NewTask, ref: str, request_id: str, owner: str) -> TaskRow:
    known = bool(db.execute("SELECT 1 FROM tasks WHERE id = ?", (task.id,)).fetchone())
    if not known:
        taken = task.idempotency_key is not None and read_by_key(db, task.idempotency_key) is not None
        _insert_task(db, task, with_key=not taken)
    if not select(db, "WHERE s.request_id = ?", request_id):
        _insert_submission(db, task.id, NewSubmission(request_id), owner, task.created_at)
    if _read(db, request_id).phase in _UNDECIDED:
        _mark_accepted(db, request_id, ref, time.time())
    return read_task(db, task.id)._replace(existing=known)


def _mark_calling(db: sqlite3.Connection, request_ids: Iterable[str], owner: str) -> None:
    query = (
        "UPDATE submissions SET phase = 'calling', called_at = ?, pid = ?, boot_id = ?, owner = ? WHERE request_id = ?"
    )
    for request_id in request_ids:
        _decide(_read(db, request_id), _UNDECIDED)
        db.execute(query, (time.time(), *identity_of(owner), request_id))


def _mark_accepted(db: sqlite3.Connection, request_id: str, ref: str, now: float) -> Event | None:
    row = _read(db, request_id)
    if row.phase == "accepted" and row.ref == ref:
        return None
    _decide(row, _UNDECIDED)
    query = "UPDATE submissions SET phase = 'accepted', ref = ?, accepted_at = ? WHERE request_id = ?"
    db.execute(query, (ref, now, request_id))
    event = Event("task.submitted", now, row.task_id, data={"request_id": request_id, "ref": ref})
    _events.record(db, event)
    return event


def _mark_duplicate(db: sqlite3.Connection, request_id: str, ref: str, owner: str) -> SubmissionRow:
    """Make a row of its own for a surplus ref, unless the submission was given up and this is what landed late."""
    row = _read(db, request_id)
    same = select(db, "WHERE s.task_id = ? AND s.ref = ?", row.task_id, ref)
    if same:
        return same[0]
    name = request_id if row.ref is None and row.phase not in _UNDECIDED else f"{request_id}/{ref}"
    if name != request_id:
        _insert_submission(db, row.task_id, NewSubmission(name, row.bundle_sha256), owner, row.intent_at, row.number)
    query = "UPDATE submissions SET phase = 'duplicate', ref = ?, gave_up_at = NULL WHERE request_id = ?"
    db.execute(query, (ref, name))
    return _read(db, name)


def identity_of(owner: str) -> tuple[int, str, str]:
    """Return pid, boot id and lock file of an owner of this machine."""
    return int(owner.partition("-")[0]), boot_id(), owner
