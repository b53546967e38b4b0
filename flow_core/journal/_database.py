"""One connection to the journal's file: transactions, forks, damage, and errors that people can act on."""

from __future__ import annotations

import functools
import os
import threading
import weakref
from typing import TYPE_CHECKING, TypeVar

from flow_core.journal import _file
from flow_core.journal._faults import fault, is_damage
from flow_core.journal._owner import Owner

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

_OPEN: weakref.WeakSet[Database] = weakref.WeakSet()
_INHERITED: list[object] = []
_KEEP_EVENTS = 30 * 86400.0  # seconds


class Database:
    """A journal's file, opened when it is first used; for any number of threads of this process.

    ``quarantined`` is where a damaged journal went that this object met, else None. The new one is empty: what is
    known elsewhere (task folders, providers) has to be recorded again. ``refill`` does that before anything else is read
    or written, each time that a journal is opened which lacks it, until :meth:`mark_filled`. ``keep_events`` says for how
    many seconds events stay; it must not hold this object, which could not be collected then.
    """

    def __init__(
        self,
        path: Path,
        refill: Callable[[str], object] | None = None,
        keep_events: Callable[[], float] = lambda: _KEEP_EVENTS,
    ) -> None:
        self.path = path
        self.quarantined: Path | None = None
        self._refill = refill
        self._keep_events = keep_events
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._closing: weakref.finalize[..., Database] | None = None
        self._identity: _file.Identity | None = None
        self._owners = path.parent / "owners"
        self._owner = Owner(self._owners)
        _watch_forks()
        _OPEN.add(self)

    def close(self) -> None:
        """Close the file and end this process's hold on submissions it left unfinished."""
        with self._lock:
            self._disconnect()
            self._owner.release()

    def check(self) -> str:
        """Read the whole file and return what is wrong with it, "" when nothing is; a damaged one is set aside."""
        before = self.quarantined
        found = self._guarded(self._find_damage)
        if found:
            self._guarded(self._set_aside)
        return found or ("it was damaged" if self.quarantined != before else "")

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return ``work`` of an open connection."""
        return self._guarded(lambda: work(self._open()))

    def _write(self, work: Callable[[sqlite3.Connection], T], full: bool = False) -> T:
        """Return ``work`` in a transaction of its own. ``full`` has it on the disk before this returns.

        ``work`` may be called again when the file turns out to have been replaced under it.
        """
        return self._guarded(lambda: self._transaction(work, full))

    def _guarded(self, act: Callable[[], T]) -> T:
        import sqlite3

        with self._lock:
            try:
                try:
                    return act()
                except sqlite3.DatabaseError as error:
                    if not is_damage(error):
                        raise
                self._set_aside()
                return act()
            except (sqlite3.Error, OSError) as error:
                raise fault(error, self.path) from error

    def _transaction(self, work: Callable[[sqlite3.Connection], T], full: bool) -> T:
        while True:
            db = self._open()
            with _file.turn(self.path):
                result = _commit(db, work, full)
            # Set aside while we wrote: what was committed is in the old file, the new one must have it.
            if _file.identity(self.path) == self._identity:
                return result

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and _file.identity(self.path) == self._identity:
            return self._connection
        self._disconnect()
        self._connection, self._identity = _file.connect(self.path)
        # Whoever forgets to close a journal leaves nothing open, in whatever order the collector takes things.
        self._closing = weakref.finalize(self, self._connection.close)
        self._closing.atexit = False
        self._connection.create_function("keep_events", 0, self._keep_events)
        if self._refill is not None and (predecessor := self._predecessor()) is not None:
            self._refill(predecessor)
        return self._connection

    def _predecessor(self) -> str | None:
        try:
            return _file.unfilled(self.path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def mark_filled(self) -> None:
        """Record that this journal has all that its predecessor knew."""
        self._guarded(lambda: _file.unfilled(self.path).unlink(missing_ok=True))

    def _disconnect(self) -> None:
        self._connection = None
        if self._closing is not None:
            self._closing()

    def _find_damage(self) -> str:
        self._open()
        return _file.find_damage(self.path)

    def _set_aside(self) -> None:
        self._disconnect()
        self.quarantined = _file.set_aside(self.path, _file.identity(self.path)) or self.quarantined

    def _after_fork(self) -> None:
        # SQLite forbids to use, and even to close, a connection in a child: it is kept, untouched.
        _INHERITED.append(self._connection)
        self._connection = None
        if self._closing is not None:
            self._closing.detach()
        self._lock = threading.RLock()
        self._owner.forget()


def _commit(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], full: bool) -> T:
    if full:
        db.execute("PRAGMA synchronous = FULL")
    try:
        db.execute("BEGIN IMMEDIATE")
        result = work(db)
        db.execute("COMMIT")
        return result
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if full:
            db.execute("PRAGMA synchronous = NORMAL")


def _after_fork() -> None:
    for database in list(_OPEN):
        database._after_fork()


@functools.cache
def _watch_forks() -> None:
    os.register_at_fork(after_in_child=_after_fork)
