"""Removing what tasks kept, and its traces here."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from flow_core.client._keeping import settle
from flow_core.errors import NotFoundError, UnavailableError
from flow_core.results import Sweep, forget, sweep
from flow_core.settings import paths
from flow_core.settings._model import OWN_STORE

if TYPE_CHECKING:
    from pathlib import Path

    from flow_core.client._session import Session
    from flow_core.journal import TaskRow

_CACHED = 30 * 86400.0  # seconds


def gc(session: Session, dry_run: bool = False) -> list[Sweep]:
    """Sweep every store of the settings, and Flow's own; the journal learns which tasks' results are gone."""
    found = []
    for name in sorted({*session.settings.result_stores, OWN_STORE}):
        policy = session.settings.result_store(name).store
        swept = sweep(session.result_store(name), policy.keep, dry_run, policy.max_bytes)
        found.append(swept)
        for task_id in () if dry_run else swept.tasks:
            _mark_gone(session, task_id, name)
    if not dry_run:
        _drop_copies(paths(session.environ).cache_dir / "logs")
    return found


def remove(session: Session, row: TaskRow) -> bool:
    """Remove what a task kept; False when its store had nothing.

    Raises NotFoundError for a task that keeps nothing, UnavailableError while it is on its way.
    """
    keeping = session.journal.keeping(row.id)
    if keeping is None:
        raise NotFoundError(f"{row.id} has no result store", "there is nothing to remove")
    if settle(session, keeping).phase == "open":
        raise UnavailableError(f"what {row.id} keeps is still on its way to {keeping.store}", "try again later")
    there = forget(session.result_store(keeping.store), row.id)
    _mark_gone(session, row.id, keeping.store)
    return there


def _mark_gone(session: Session, task_id: str, store: str) -> None:
    keeping = session.journal.keeping(task_id)
    if keeping is not None and keeping.store == store:
        session.journal.mark_keeping(task_id, "gone", "removed")
    shutil.rmtree(paths(session.environ).cache_dir / "logs" / task_id, ignore_errors=True)


def _drop_copies(folder: Path) -> None:
    """Remove copies of logs that are old; they are fetched again when they are wanted."""
    for copy in folder.iterdir() if folder.is_dir() else ():
        if time.time() - copy.stat().st_mtime > _CACHED:
            shutil.rmtree(copy, ignore_errors=True)
