"""Leave for a task's machine to bring what it keeps to a store by itself."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import attrs

from flow_core.errors import CapabilityError
from flow_core.results._manifest import manifest_key, node_key

if TYPE_CHECKING:
    from flow_core.faces import ResultStore
    from flow_core.types import TaskConfig, Ticket

SECRET = "flow.tickets"
"""What they are called among a task's secrets, with which they travel."""

_LONGEST = 7 * 86400.0  # seconds; what signatures of the large object stores allow at most
_HOLD = 2 * 86400.0  # seconds beyond a task's own time, in which it may wait to start and to be looked at
_FRESH_BELOW = 0.25


@attrs.frozen
class Leave:
    """The tickets of one task as the runner reads them, and until when they last (UTC seconds). Their text is a secret."""

    text: str = attrs.field(repr=False)
    expires_at: float


def leave(store: ResultStore, task_id: str, config: TaskConfig, shared: bool) -> Leave | None:
    """Ask for the tickets of a task; None where the store has none that its machine can use.

    ``shared``: the machine sees the file system that a PATH leads to.
    """
    seconds = lifetime(config)
    now = time.time()
    try:
        tickets = {
            "blobs": store.ticket("blobs/", "PUT", None, seconds),
            "final": store.ticket(manifest_key(task_id), "PUT", None, seconds),
        }
        if config.num_instances > 1:
            tickets["nodes"] = store.ticket(node_key(task_id), "PUT", None, seconds)
    except CapabilityError:
        return None
    if not all(usable(ticket, shared) for ticket in tickets.values()):
        return None
    ends = [now + seconds, *(one.expires_at for one in tickets.values() if one.expires_at is not None)]
    doc = {"expires_at": min(ends), **{name: document(one) for name, one in tickets.items()}}
    return Leave(json.dumps(doc), min(ends))


def is_stale(expires_at: float, config: TaskConfig) -> bool:
    """Whether less than a quarter of the time of a task's tickets is left."""
    return expires_at - time.time() < _FRESH_BELOW * lifetime(config)


def lifetime(config: TaskConfig) -> float:
    """Return how long (seconds) the tickets of a task should last."""
    return min(_LONGEST, (config.time_limit or _LONGEST) + _HOLD)


def usable(ticket: Ticket, shared: bool) -> bool:
    """Whether a machine can use a ticket."""
    return shared or ticket.method != "PATH"


def document(ticket: Ticket) -> dict[str, object]:
    """Return a ticket as the runner reads it."""
    return {
        "method": ticket.method,
        "url": ticket.url,
        "headers": dict(ticket.headers),
        "fields": dict(ticket.fields),
    }
