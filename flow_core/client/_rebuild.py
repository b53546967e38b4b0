"""After a damaged journal was set aside: find the tasks again, at the providers that can list them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flow_core.errors import FlowError
from flow_core.types import TaskListing, format_ref

if TYPE_CHECKING:
    from pathlib import Path

    from flow_core.client._session import Session
    from flow_core.faces import Provider
    from flow_core.journal import Journal


def rebuild_when_damaged(session: Session, journal: Journal) -> None:
    """Open the journal; when it was set aside as damaged since the last look, fill the new one. Says so as a warning."""
    journal.open_tasks()
    folder = journal.path.parent
    aside = sorted(folder.glob(f"{journal.path.name}.corrupt-*"))
    done = folder / f"{journal.path.name}.rebuilt"
    if not aside or _read(done) == aside[-1].name:
        return
    count, failed = _rebuild(session, journal)
    if not failed:
        done.write_text(aside[-1].name, encoding="utf-8")
    missing = f"; not asked yet: {', '.join(failed)}" if failed else ""
    warnings.warn(f"the journal was damaged and is kept as {aside[-1]}; {count} tasks were found again{missing}", stacklevel=2)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _rebuild(session: Session, journal: Journal) -> tuple[int, list[str]]:
    """Return how many tasks were found, and which profiles could not be asked."""
    found: list[tuple[Provider, TaskListing]] = []
    failed: list[str] = []
    for profile in _profiles(session):
        try:
            provider = session.provider(profile)
            if "flow_provision_list" in provider.supports:
                found += [(provider, task) for task in provider.list_tasks(0.0)]
        except FlowError:
            failed.append(profile)
    for provider, task in sorted(found, key=lambda item: item[1].created_at):
        _adopt(journal, provider, task)
    return len(found), failed


def _profiles(session: Session) -> Iterator[str]:
    """Name the configured profiles, and the installed providers that no profile is made of."""
    configured = session.settings.profiles
    yield from configured
    used = {profile.provider for profile in configured.values()}
    yield from (name for name in session.catalog.plugins("provider") if name not in used)


def _adopt(journal: Journal, provider: Provider, task: TaskListing) -> None:
    from flow_core.journal import NewTask
    from flow_core.spec import fingerprint, from_mapping

    config = from_mapping(dict(task.config)) if task.config else None
    row = NewTask(
        id=task.task_id,
        name=task.name,
        provider=provider.provider,
        profile=provider.profile,
        config=json.dumps(dict(task.config)),
        created_at=task.created_at,
        fingerprint=fingerprint(config) if config else "",
        labels=dict(config.labels) if config else {},
        instance_type=config.instance_type if config else None,
        num_instances=config.num_instances if config else 1,
    )
    journal.adopt(row, format_ref(provider.provider, provider.profile, task.ref), task.request_id)
