"""What a provider holds for us beside tasks (volumes, minted keys, kept machines), and what reached a result store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flow_core.errors import NotFoundError
from flow_core.journal._database import Database
from flow_core.journal._rows import KeepingRow, ResourceRow, UploadRow
from flow_core.types._mapping import EMPTY

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

_KEEPING = "task_id, store, phase, expires_at, error"
_RESOURCE = "request_id, profile, kind, id, task_id, phase, created_at, released_at"


class Resources(Database):
    """The journal's resources, each with an intent of its own, and its uploads."""

    def add_resource_intent(self, request_id: str, profile: str, kind: str, task_id: str | None = None) -> ResourceRow:
        """Record that a resource is about to be made; it is on the disk when this returns. A known one stays."""
        query = (
            "INSERT INTO resources (request_id, profile, kind, task_id, phase, created_at) "
            "VALUES (?, ?, ?, ?, 'intent', ?) ON CONFLICT (request_id) DO NOTHING"
        )
        values = (request_id, profile, kind, task_id, time.time())
        self._write(lambda db: db.execute(query, values), full=True)
        return self._resource(request_id)

    def mark_resource(self, request_id: str, phase: str, resource_id: str | None = None) -> ResourceRow:
        """Record that it was ``created`` (with the provider's id) or ``released``; NotFoundError without an intent."""
        query = (
            "UPDATE resources SET phase = ?, id = coalesce(?, id), "
            "released_at = CASE WHEN ? = 'released' THEN ? END WHERE request_id = ?"
        )
        values = (phase, resource_id, phase, time.time(), request_id)
        self._write(lambda db: db.execute(query, values), full=True)
        return self._resource(request_id)

    def forget_resource(self, request_id: str) -> None:
        """Drop the record of a resource that was surely never made."""
        self._write(lambda db: db.execute("DELETE FROM resources WHERE request_id = ?", (request_id,)))

    def resources(
        self,
        profile: str | None = None,
        kind: str | None = None,
        phase: str | None = None,
        task_id: str | None = None,
    ) -> list[ResourceRow]:
        """Return recorded resources, oldest first."""
        wanted = {"profile": profile, "kind": kind, "phase": phase, "task_id": task_id}
        given = {column: value for column, value in wanted.items() if value is not None}
        where = " AND ".join(f"{column} = ?" for column in given) or "1"
        query = f"SELECT {_RESOURCE} FROM resources WHERE {where} ORDER BY created_at, rowid"
        rows = self._read(lambda db: db.execute(query, tuple(given.values())).fetchall())
        return [ResourceRow._make(row) for row in rows]

    def uploads(self, task_id: str) -> list[UploadRow]:
        """Return what of a task reached the result store, by key."""
        query = "SELECT task_id, key, bytes, sha256, at FROM uploads WHERE task_id = ? ORDER BY key"
        return [UploadRow._make(row) for row in self._read(lambda db: db.execute(query, (task_id,)).fetchall())]

    def add_keeping(self, task_id: str, store: str, expires_at: float | None) -> None:
        """Record that a task's results go to ``store``; tickets that last until ``expires_at`` went along (None: none)."""
        query = "INSERT INTO keeping (task_id, store, expires_at) VALUES (?, ?, ?) ON CONFLICT (task_id) DO NOTHING"
        self._write(lambda db: db.execute(query, (task_id, store, expires_at)))

    def mark_keeping(
        self,
        task_id: str,
        phase: str,
        error: str = "",
        expires_at: float | None = None,
        objects: Mapping[str, tuple[int, str]] = EMPTY,
    ) -> None:
        """Record how it stands: ``open``, ``kept`` (``objects``: key -> bytes, SHA-256) or ``gone``, and what is wrong."""
        query = "UPDATE keeping SET phase = ?, error = ?, expires_at = coalesce(?, expires_at) WHERE task_id = ?"
        rows = [(task_id, key, *size_and_sum, time.time()) for key, size_and_sum in objects.items()]

        def write(db: sqlite3.Connection) -> None:
            db.execute(query, (phase, error, expires_at, task_id))
            db.executemany(
                "INSERT OR REPLACE INTO uploads (task_id, key, bytes, sha256, at) VALUES (?, ?, ?, ?, ?)", rows
            )

        self._write(write)

    def keeping(self, task_id: str) -> KeepingRow | None:
        """Return where a task's results go; None where they go nowhere."""
        query = f"SELECT {_KEEPING} FROM keeping WHERE task_id = ?"
        found = self._read(lambda db: db.execute(query, (task_id,)).fetchone())
        return None if found is None else KeepingRow._make(found)

    def keepings(self, phase: str = "open") -> list[KeepingRow]:
        """Return what is in a phase, oldest first."""
        query = f"SELECT {_KEEPING} FROM keeping WHERE phase = ? ORDER BY task_id"
        return [KeepingRow._make(row) for row in self._read(lambda db: db.execute(query, (phase,)).fetchall())]

    def _resource(self, request_id: str) -> ResourceRow:
        query = f"SELECT {_RESOURCE} FROM resources WHERE request_id = ?"
        found = self._read(lambda db: db.execute(query, (request_id,)).fetchone())
        if found is None:
            raise NotFoundError(f"the journal knows no resource {request_id}", "record its intent first")
        return ResourceRow._make(found)
