"""What a provider holds for us beside tasks (volumes, minted keys, kept machines), and what reached a result store."""

from __future__ import annotations

import time

from flow_core.errors import NotFoundError
from flow_core.journal._database import Database
from flow_core.journal._rows import ResourceRow, UploadRow

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

    def add_upload(self, task_id: str, key: str, size: int, sha256: str, at: float | None = None) -> None:
        """Record that an object of ``size`` bytes reached the result store."""
        query = (
            "INSERT INTO uploads (task_id, key, bytes, sha256, at) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (task_id, key) DO UPDATE SET bytes = excluded.bytes, sha256 = excluded.sha256, "
            "at = excluded.at"
        )
        values = (task_id, key, size, sha256, time.time() if at is None else at)
        self._write(lambda db: db.execute(query, values))

    def uploads(self, task_id: str) -> list[UploadRow]:
        """Return what of a task reached the result store, by key."""
        query = "SELECT task_id, key, bytes, sha256, at FROM uploads WHERE task_id = ? ORDER BY key"
        return [UploadRow._make(row) for row in self._read(lambda db: db.execute(query, (task_id,)).fetchall())]

    def _resource(self, request_id: str) -> ResourceRow:
        query = f"SELECT {_RESOURCE} FROM resources WHERE request_id = ?"
        found = self._read(lambda db: db.execute(query, (request_id,)).fetchone())
        if found is None:
            raise NotFoundError(f"the journal knows no resource {request_id}", "record its intent first")
        return ResourceRow._make(found)
