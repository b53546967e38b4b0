"""What happened, kept for a time."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from flow_core.journal._database import Database
from flow_core.journal._rows import EventRow
from flow_core.types import Event

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

_TRIM_EVERY, _TRIM_AT_MOST = 256, 1024


class Events(Database):
    """The journal's events."""

    def add_event(
        self,
        kind: str,
        task_id: str | None = None,
        data: Mapping[str, str] | None = None,
        *,
        attempt: int | None = None,
        rank: int | None = None,
        at: float | None = None,
    ) -> EventRow:
        """Record that ``kind`` (a dotted word) happened, now unless ``at`` says when."""
        event = Event(kind, time.time() if at is None else at, task_id, attempt, rank, dict(data or {}))
        return EventRow(self._write(lambda db: record(db, event)), event)

    def events(self, task_id: str | None = None, after_seq: int = 0, limit: int = 1000) -> list[EventRow]:
        """Return the events after ``after_seq``, oldest first, of one task or of all."""
        mine = "task_id = ? AND" if task_id is not None else ""
        columns = "seq, kind, at, task_id, attempt, rank, data"
        query = f"SELECT {columns} FROM events WHERE {mine} seq > ? ORDER BY seq LIMIT ?"
        values = (after_seq, limit) if task_id is None else (task_id, after_seq, limit)
        rows = self._read(lambda db: db.execute(query, values).fetchall())
        return [
            EventRow(seq, Event(kind, at, task, attempt, rank, json.loads(text)))
            for seq, kind, at, task, attempt, rank, text in rows
        ]


def record(db: sqlite3.Connection, event: Event) -> int:
    """Insert an event inside a transaction and return its number; each 256th takes old ones away."""
    added = db.execute(
        "INSERT INTO events (at, task_id, kind, attempt, rank, data) VALUES (?, ?, ?, ?, ?, ?)",
        (event.at, event.task_id, event.kind, event.attempt, event.rank, _text(event)),
    ).lastrowid
    seq = int(added or 0)
    if seq % _TRIM_EVERY == 0:
        _trim(db, seq, event.at)
    return seq


def is_last(db: sqlite3.Connection, event: Event) -> bool:
    """Say whether the task's newest event of this kind says the same."""
    query = "SELECT data FROM events WHERE task_id = ? AND kind = ? ORDER BY seq DESC LIMIT 1"
    found = db.execute(query, (event.task_id, event.kind)).fetchone()
    return found is not None and found[0] == _text(event)


def _trim(db: sqlite3.Connection, newest: int, now: float) -> None:
    # The newest row stays: its number must not be given out again to those who ask for what came after it.
    db.execute(
        "DELETE FROM events WHERE at < ? - keep_events() AND seq < ?"
        " AND seq IN (SELECT seq FROM events ORDER BY seq LIMIT ?)",
        (now, newest, _TRIM_AT_MOST),
    )


def _text(event: Event) -> str:
    return json.dumps(dict(event.data), sort_keys=True)
