"""Staying with tasks whose machines get their files from this client alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flow_core.client._logs import sleep
from flow_core.errors import TransientError
from flow_core.types import parse_ref

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.client._task import Task
    from flow_core.journal import TaskRow

_SLOWEST = 10.0  # seconds between two looks


def hand_over(session: Session, tasks: Iterable[Task], closed: Callable[[], bool]) -> bool:
    """Stay until no task needs this client any more; False when ``closed`` said before that nobody waits."""
    from flow_core.waiting import Backoff

    waiting = [task for task in tasks if session.provider(task.row.profile).facts.attended]
    pauses = [session.provider(task.row.profile).facts.min_poll_seconds for task in waiting]
    backoff = Backoff(max(pauses, default=0.0), _SLOWEST)
    while waiting := [task for task in waiting if needs_client(session, task.refresh())]:
        if closed():
            return False
        sleep(backoff.next(), closed)
    return True


def needs_client(session: Session, row: TaskRow) -> bool:
    """Ask the provider whether the task waits for its files from here; it delivers them while it is asked."""
    if row.is_final:
        return False
    if row.ref is None:
        return True
    ref = parse_ref(row.ref)[2]
    try:
        report = session.provider(row.profile).status([ref]).get(ref)
    except TransientError:
        return True
    return report is not None and report.needs_client and not report.is_final
