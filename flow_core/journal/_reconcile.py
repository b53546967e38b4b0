"""What the dead left behind: unfinished submissions, surplus ones, and whose turn it is to look."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flow_core.journal import _owner
from flow_core.journal._boot import boot_id
from flow_core.journal._database import Database
from flow_core.journal._submissions import identity_of, select

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from flow_core.journal._rows import SubmissionRow

# In the words of the partial index, which is used for no others.
_INDEXED = "WHERE s.phase IN ('intent', 'calling', 'duplicate')"
_OPEN = f"{_INDEXED} AND s.phase != 'duplicate'"
_NOBODY = "nobody"  # no process has a lock file of this name


class Reconciliation(Database):
    """What another process began and will not end."""

    def left_behind(self, profile: str | None = None) -> list[SubmissionRow]:
        """Return undecided submissions whose owner is dead and surplus ones (phase ``duplicate``), oldest first."""
        query = f"{_INDEXED} AND (s.phase != 'duplicate' OR s.gave_up_at IS NULL) ORDER BY s.intent_at"
        rows = [row for row in self._read(lambda db: select(db, query)) if profile in (None, row.profile)]
        return [row for row in rows if row.phase == "duplicate" or not self.owner_alive(row)]

    def unfinished(self, profile: str | None = None) -> list[SubmissionRow]:
        """Return undecided submissions whose owner is dead, oldest first."""
        return [row for row in self.left_behind(profile) if row.phase != "duplicate"]

    def duplicates(self, profile: str | None = None) -> list[SubmissionRow]:
        """Return surplus submissions that are not known to be cancelled yet."""
        return [row for row in self.left_behind(profile) if row.phase == "duplicate"]

    def owner_alive(self, row: SubmissionRow) -> bool:
        """Say whether the process that works on this submission still holds its lock."""
        return self._guarded(lambda: _owner.is_alive(self._owners, row.owner))

    def claim(self, request_id: str) -> bool:
        """Take over an undecided submission whose owner is dead; False when another is at it, or it is decided."""
        return self._write(lambda db: self._claim(db, request_id))

    def release(self, request_id: str, error: str = "") -> None:
        """Give up an undecided submission that this process owns, for ``error``: who reconciles next takes it over."""
        query = "UPDATE submissions SET owner = ?, error = coalesce(nullif(?, ''), error) "
        query += "WHERE request_id = ? AND phase IN ('intent', 'calling')"
        self._write(lambda db: db.execute(query, (_NOBODY, error, request_id)))

    def due_for_reconcile(self, profile: str, every: float = 10.0, at: float | None = None) -> bool:
        """Say whether nobody looked for ``every`` seconds; True goes to one process, whose turn it then is.

        Also true when the clock was set back, and on the first look since the machine booted: then the file is checked
        too, since a power cut is what damages it. A check at each opening would cost more than all else.
        """
        now = time.time() if at is None else at
        if not self._read(lambda db: _is_due(db, profile, every, now)):
            return False
        if self._read(lambda db: _meta(db, "boot_id")) != boot_id():
            self.check()
        return self._write(lambda db: _take_turn(db, profile, every, now))

    def note_missing(self, task_id: str, at: float) -> float:
        """Note that the provider does not know a task; return since when it has not, without having known it between."""
        return self._write(lambda db: _note_missing(db, task_id, at))

    def missing(self) -> set[str]:
        """Return the tasks that were noted so."""
        query = "SELECT key FROM meta WHERE key >= 'missing:' AND key < 'missing;'"
        return {key.partition(":")[2] for (key,) in self._read(lambda db: db.execute(query).fetchall())}

    def forget_missing(self, task_ids: Iterable[str]) -> None:
        """Note that the provider knows these tasks, or that their end is known."""
        keys = [(f"missing:{task_id}",) for task_id in task_ids]
        if keys:
            self._write(lambda db: db.executemany("DELETE FROM meta WHERE key = ?", keys))

    def _claim(self, db: sqlite3.Connection, request_id: str) -> bool:
        found = select(db, f"{_OPEN} AND s.request_id = ?", request_id)
        if not found or _owner.is_alive(self._owners, found[0].owner):
            return False
        query = "UPDATE submissions SET pid = ?, boot_id = ?, owner = ? WHERE request_id = ?"
        db.execute(query, (*identity_of(self._owner.name), request_id))
        return True


def _note_missing(db: sqlite3.Connection, task_id: str, at: float) -> float:
    key = f"missing:{task_id}"
    since = _meta(db, key)
    if since is None or float(since) > at:  # the clock was set back
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, repr(at)))
        return at
    return float(since)


def _is_due(db: sqlite3.Connection, profile: str, every: float, now: float) -> bool:
    # A turn taken a moment "later" than now is another process's, read after our clock was: no sign of a changed clock.
    last = _meta(db, f"reconciled:{profile}")
    return last is None or not abs(now - float(last)) < every or _meta(db, "boot_id") != boot_id()


def _take_turn(db: sqlite3.Connection, profile: str, every: float, now: float) -> bool:
    if not _is_due(db, profile, every, now):
        return False
    if _meta(db, "boot_id") != boot_id():
        db.execute("DELETE FROM meta WHERE key LIKE 'reconciled:%'")
    query = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    db.executemany(query, [("boot_id", boot_id()), (f"reconciled:{profile}", repr(now))])
    return True


def _meta(db: sqlite3.Connection, key: str) -> str | None:
    found = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return found[0] if found else None
