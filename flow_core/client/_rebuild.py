"""After a damaged journal was set aside: find the tasks again, at the providers that can list them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flow_core.errors import AuthError, ConfigError, FlowError
from flow_core.types import TaskConfig, TaskListing, format_ref

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.faces import Provider
    from flow_core.journal import Journal


def rebuild(session: Session, journal: Journal, predecessor: str) -> None:
    """Fill a new journal whose ``predecessor`` was set aside under this name ("": it was removed). Warns of it."""
    found, failed = _listings(session)
    for provider, task in sorted(found, key=lambda item: item[1].created_at):
        _adopt(session, journal, provider, task)
    if not failed:
        journal.mark_filled()
    if not (predecessor or found or failed):
        return
    what = f"was damaged and is kept as {journal.path.with_name(predecessor)}" if predecessor else "was gone"
    missing = f"; not asked yet: {', '.join(failed)}" if failed else ""
    warnings.warn(f"the journal {what}; tasks found again: {len(found)}{missing}", stacklevel=2)


def _listings(session: Session) -> tuple[list[tuple[Provider, TaskListing]], list[str]]:
    """Return the tasks that the providers list, and which profiles could not be asked."""
    found: list[tuple[Provider, TaskListing]] = []
    failed: list[str] = []
    for profile in _profiles(session):
        try:
            provider = session.provider(profile)
            if "flow_provision_list" in provider.supports:
                found += [(provider, task) for task in provider.list_tasks(0.0)]
        except (ConfigError, AuthError):
            if profile in session.settings.profiles:  # else it was never set up, and has no tasks
                failed.append(profile)
        except FlowError:
            failed.append(profile)
    return found, failed


def _profiles(session: Session) -> Iterator[str]:
    """Name the configured profiles, and the installed providers that no profile is made of."""
    configured = session.settings.profiles
    yield from configured
    used = {profile.provider for profile in configured.values()}
    yield from (name for name in session.catalog.plugins("provider") if name not in used)


def _adopt(session: Session, journal: Journal, provider: Provider, task: TaskListing) -> None:
    from flow_core.client._keeping import store_of
    from flow_core.journal import NewTask
    from flow_core.spec import fingerprint, to_mapping

    config = _config(task)
    row = NewTask(
        id=task.task_id,
        name=task.name,
        provider=provider.provider,
        profile=provider.profile,
        config=json.dumps(to_mapping(config)),
        created_at=task.created_at,
        fingerprint=fingerprint(config),
        idempotency_key=config.idempotency_key,
        labels=config.labels,
        instance_type=config.instance_type,
        num_instances=config.num_instances,
    )
    journal.adopt(row, format_ref(provider.provider, provider.profile, task.ref), task.request_id)
    store = store_of(config, session.choose(provider.profile))
    if store is not None:
        journal.add_keeping(row.id, store, 0.0)  # as if its tickets had ended: it gets others when it needs them


def _config(task: TaskListing) -> TaskConfig:
    """Return the task's config; an empty one when it cannot be read: the task itself is there all the same."""
    from flow_core.spec import from_mapping

    try:
        return from_mapping(dict(task.config))
    except Exception:  # whatever was made of the file
        return TaskConfig()
