"""Reading tasks, and asking for their end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flow_core.errors import ConflictError, NotFoundError
from flow_core.journal._attempts import read_attempts
from flow_core.journal._database import Database
from flow_core.journal._rows import TaskRow
from flow_core.types import FINAL_STATES, LIVE_STATES, Attempt

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

_COLUMNS = (
    "id, name, provider, profile, state, exit_code, reason, created_at, started_at, ended_at, instance_type, "
    "num_instances, attempt, labels, cancel_requested_at, config, idempotency_key, fingerprint, "
    "(SELECT ref FROM submissions s WHERE s.task_id = tasks.id AND s.phase = 'accepted' ORDER BY s.number DESC LIMIT 1)"
)
_SHOWN = 5
_RECENT = 200


class Tasks(Database):
    """The journal's tasks, as they are read."""

    def task(self, task_id: str) -> TaskRow:
        """Return the task of this id; NotFoundError when there is none."""
        return self._read(lambda db: read_task(db, task_id))

    def find(self, word: str) -> TaskRow:
        """Return the task that ``word`` names: its id, its name (the newest one's) or the beginning of one id only.

        ConflictError when several ids begin so, NotFoundError (with the nearest name) when nothing fits.
        """
        printable = word.encode("utf-8", "replace").decode()  # an argument may hold bytes that are no text
        return self._read(lambda db: _named(db, printable) or _begins(db, printable))

    def tasks(
        self,
        limit: int | None = 20,
        states: Iterable[str] | None = None,
        since: float | None = None,
        label: str | None = None,
        name: str | None = None,
        profile: str | None = None,
    ) -> list[TaskRow]:
        """Return tasks, newest first; ``since`` is UTC seconds of creation, ``label`` is ``key`` or ``key=value``."""
        wanted = [("created_at >= ?", since), ("name = ?", name), ("profile = ?", profile)]
        clauses = [clause for clause, value in wanted if value is not None]
        values: list[object] = [value for _, value in wanted if value is not None]
        if states is not None:
            chosen = sorted(set(states))
            clauses.append(f"state IN ({', '.join('?' * len(chosen))})")
            values += chosen
        where = " WHERE " + " AND ".join(clauses) if clauses else ""
        return self._read(lambda db: list(_newest(db, where, values, limit, label)))

    def counts(self, profile: str | None = None) -> dict[str, int]:
        """Return how many tasks are in each state that any task is in."""
        where, values = ("", ()) if profile is None else (" WHERE profile = ?", (profile,))
        query = f"SELECT state, count(*) FROM tasks{where} GROUP BY state"
        return dict(self._read(lambda db: db.execute(query, values).fetchall()))

    def open_tasks(self, profile: str | None = None) -> list[TaskRow]:
        """Return the live tasks that a provider accepted, newest first."""
        return [row for row in self.tasks(None, LIVE_STATES, profile=profile) if row.ref is not None]

    def attempts(self, task_id: str) -> list[Attempt]:
        """Return what is known of the task's attempts, first to last."""
        return [held.attempt for _, held in sorted(self._read(lambda db: read_attempts(db, task_id)).items())]

    def request_cancel(self, task_id: str, at: float | None = None) -> bool:
        """Record that the task is to end; False when it has ended. The first request's time (UTC seconds) stays."""
        when = time.time() if at is None else at
        return self._write(lambda db: _request_cancel(db, task_id, when))

    def cancel_requested(self, task_id: str) -> bool:
        """Say whether a cancel was recorded."""
        return self.task(task_id).cancel_requested_at is not None


def read_task(db: sqlite3.Connection, task_id: str) -> TaskRow:
    """Return the task of this id; NotFoundError when there is none."""
    found = _select(db, "WHERE id = ?", (task_id,))
    if not found:
        raise NotFoundError(f"the journal knows no task {task_id}", "`flow status` lists the tasks it knows")
    return found[0]


def read_by_key(db: sqlite3.Connection, key: str) -> TaskRow | None:
    """Return the task that holds this idempotency key."""
    return next(iter(_select(db, "WHERE idempotency_key = ?", (key,))), None)


def _select(db: sqlite3.Connection, clauses: str, values: Iterable[object]) -> list[TaskRow]:
    query = f"SELECT {_COLUMNS} FROM tasks {clauses}"
    return [TaskRow(*row) for row in db.execute(query, tuple(values))]


def _newest(
    db: sqlite3.Connection, where: str, values: Sequence[object], limit: int | None, label: str | None
) -> Iterator[TaskRow]:
    left = -1 if limit is None else limit
    query = f"SELECT {_COLUMNS} FROM tasks{where} ORDER BY seq DESC"
    if label is None:
        yield from (TaskRow(*row) for row in db.execute(f"{query} LIMIT ?", (*values, left)))
        return
    for row in (TaskRow(*found) for found in db.execute(query, values)):
        if left == 0:
            return
        if _has_label(row, label):
            left -= 1
            yield row


def _has_label(row: TaskRow, label: str) -> bool:
    key, equals, value = label.partition("=")
    found = row.labels.get(key)
    return found is not None and (not equals or found == value)


def _named(db: sqlite3.Connection, word: str) -> TaskRow | None:
    if found := _select(db, "WHERE id = ?", (word,)):
        return found[0]
    if found := _select(db, "WHERE name = ? ORDER BY seq DESC LIMIT 1", (word,)):
        return found[0]._replace(
            newest_of=db.execute("SELECT count(*) FROM tasks WHERE name = ?", (word,)).fetchone()[0]
        )
    return None


def _begins(db: sqlite3.Connection, word: str) -> TaskRow:
    # "{" follows "z": the range of all ids that begin with the word, by the index.
    found = _select(db, "WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", (word, word + "{", _SHOWN + 1)) if word else []
    if not found:
        raise NotFoundError(f"no task is called {word!r}", _nearest(db, word))
    if len(found) > 1:
        shown = ", ".join(f"{row.id} ({row.name})" for row in found[:_SHOWN])
        more = ", …" if len(found) > _SHOWN else ""
        raise ConflictError(f"several tasks begin with {word!r}: {shown}{more}", "give more characters of the id")
    return found[0]


def _nearest(db: sqlite3.Connection, word: str) -> str:
    import difflib

    names = [name for (name,) in db.execute("SELECT name FROM tasks ORDER BY seq DESC LIMIT ?", (_RECENT,))]
    near = difflib.get_close_matches(word, dict.fromkeys(names), 1)
    return f"did you mean {near[0]!r}?" if near else "`flow status` lists the tasks there are"


def _request_cancel(db: sqlite3.Connection, task_id: str, at: float) -> bool:
    row = read_task(db, task_id)
    if row.state in FINAL_STATES:
        return False
    if row.cancel_requested_at is None:
        db.execute("UPDATE tasks SET cancel_requested_at = ?, updated_at = ? WHERE id = ?", (at, at, task_id))
    return True
