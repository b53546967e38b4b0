"""The tables, as the steps from each version to the next; ``PRAGMA user_version`` counts the steps taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_FIRST = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # `seq` orders tasks as they were recorded: a clock that steps back must not make an older task the newest.
    # An index ends with the row's number, so (state) and (name) are sorted by age within.
    """CREATE TABLE tasks (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, provider TEXT NOT NULL,
        profile TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', exit_code INTEGER,
        attempt INTEGER NOT NULL DEFAULT 1, created_at REAL NOT NULL, started_at REAL, ended_at REAL,
        cancel_requested_at REAL, idempotency_key TEXT UNIQUE, fingerprint TEXT NOT NULL, money INTEGER NOT NULL,
        labels TEXT NOT NULL, instance_type TEXT, num_instances INTEGER NOT NULL, updated_at REAL NOT NULL,
        config TEXT NOT NULL)""",
    "CREATE INDEX tasks_by_state ON tasks (state)",
    "CREATE INDEX tasks_by_name ON tasks (name)",
    """CREATE TABLE submissions (
        request_id TEXT PRIMARY KEY, task_id TEXT NOT NULL, number INTEGER NOT NULL, phase TEXT NOT NULL, ref TEXT,
        bundle_sha256 TEXT, pid INTEGER NOT NULL, boot_id TEXT NOT NULL, owner TEXT NOT NULL, intent_at REAL NOT NULL,
        called_at REAL, accepted_at REAL, gave_up_at REAL, error TEXT NOT NULL DEFAULT '')""",
    "CREATE INDEX submissions_by_task ON submissions (task_id, number)",
    "CREATE INDEX submissions_open ON submissions (phase) WHERE phase IN ('intent', 'calling', 'duplicate')",
    """CREATE TABLE attempts (
        task_id TEXT NOT NULL, number INTEGER NOT NULL, request_id TEXT, state TEXT NOT NULL, exit_code INTEGER,
        signal INTEGER, reason TEXT NOT NULL, started_at REAL, ended_at REAL, preempt_notice_at REAL,
        source TEXT NOT NULL, nodes TEXT NOT NULL, PRIMARY KEY (task_id, number)) WITHOUT ROWID""",
    """CREATE TABLE resources (
        request_id TEXT PRIMARY KEY, profile TEXT NOT NULL, kind TEXT NOT NULL, id TEXT, task_id TEXT,
        phase TEXT NOT NULL, created_at REAL NOT NULL, released_at REAL)""",
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY, at REAL NOT NULL, task_id TEXT, kind TEXT NOT NULL, attempt INTEGER, rank INTEGER,
        data TEXT NOT NULL)""",
    "CREATE INDEX events_by_task ON events (task_id)",
    """CREATE TABLE uploads (
        task_id TEXT NOT NULL, key TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (task_id, key)) WITHOUT ROWID""",
)

_RESULTS = (
    # Tasks whose results go to a store: `phase` is open until they are there, then kept, or gone when they never will be.
    """CREATE TABLE keeping (
        task_id TEXT PRIMARY KEY, store TEXT NOT NULL, phase TEXT NOT NULL DEFAULT 'open', expires_at REAL,
        error TEXT NOT NULL DEFAULT '') WITHOUT ROWID""",
    "CREATE INDEX keeping_open ON keeping (phase) WHERE phase = 'open'",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _RESULTS)
"""Step n leads from version n to n + 1. A released step is never edited: changes are a new step."""


def version_of(db: sqlite3.Connection) -> int:
    """Return how many steps this file has taken; 0 means that there is no journal in it."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection) -> None:
    """Take the steps that are missing, all or none; safe against others that do the same."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in MIGRATIONS[version_of(db) :]:
            for statement in step:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
