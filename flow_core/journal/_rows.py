"""What goes into the journal and what comes out of it. Times are UTC seconds; JSON stays text until somebody asks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import attrs

from flow_core.types import FINAL_STATES, Attempt, Event

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen
class NewTask:
    """A task to be recorded. ``config`` is JSON text without secret values, ``fingerprint`` identifies the config.

    ``money`` says that a submission may cost money: its intent is then on the disk before the provider is called,
    power cuts included.
    """

    id: str
    name: str
    provider: str
    profile: str
    config: str
    created_at: float
    fingerprint: str = ""
    idempotency_key: str | None = None
    labels: Mapping[str, str] = attrs.field(factory=dict)
    instance_type: str | None = None
    num_instances: int = 1
    money: bool = False


@attrs.frozen
class NewSubmission:
    """One try at handing a task to its provider; ``request_id`` is never used for another."""

    request_id: str
    bundle_sha256: str | None = None


class TaskRow(NamedTuple):
    """A task as the journal knows it. ``config`` is JSON text; ``ref`` is the accepted reference's text or None.

    ``existing``: :meth:`Journal.record_intent` met an earlier task with the same idempotency key.
    ``newest_of``: so many tasks have the name that :meth:`Journal.find` was asked for, and this is the newest.
    """

    id: str
    name: str
    provider: str
    profile: str
    state: str
    exit_code: int | None
    reason: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    instance_type: str | None
    num_instances: int
    attempt: int
    labels_json: str
    cancel_requested_at: float | None
    config: str
    idempotency_key: str | None
    fingerprint: str
    ref: str | None
    existing: bool = False
    newest_of: int = 1

    @property
    def labels(self) -> dict[str, str]:
        """The task's labels."""
        return dict(json.loads(self.labels_json))

    @property
    def is_final(self) -> bool:
        """Whether the task has ended."""
        return self.state in FINAL_STATES


class SubmissionRow(NamedTuple):
    """One try at handing a task over. ``phase``: intent, calling, accepted, refused, abandoned or duplicate.

    ``owner`` names the lock file of the process that works on it.
    """

    request_id: str
    task_id: str
    number: int
    phase: str
    ref: str | None
    bundle_sha256: str | None
    pid: int
    boot_id: str
    owner: str
    intent_at: float
    called_at: float | None
    accepted_at: float | None
    gave_up_at: float | None
    error: str
    provider: str
    profile: str


class EventRow(NamedTuple):
    """A recorded event and its place in the order of all."""

    seq: int
    event: Event


class ResourceRow(NamedTuple):
    """Something a provider holds for us that is not a task. ``phase``: intent, created or released."""

    request_id: str
    profile: str
    kind: str
    id: str | None
    task_id: str | None
    phase: str
    created_at: float
    released_at: float | None


class UploadRow(NamedTuple):
    """One object of a task that reached a result store; ``bytes`` is its size."""

    task_id: str
    key: str
    bytes: int
    sha256: str
    at: float


class KeepingRow(NamedTuple):
    """Where a task's results go. ``phase``: open, kept, or gone; ``expires_at`` (UTC seconds): of the tickets it has."""

    task_id: str
    store: str
    phase: str
    expires_at: float | None
    error: str


@attrs.frozen
class AttemptChange:
    """One attempt before (None: it is new) and after a report."""

    old: Attempt | None
    new: Attempt


@attrs.frozen
class Change:
    """What a report changed. ``states`` are the states passed through, the old one first; one state: it stayed.

    ``events`` are recorded already, in the same transaction: they are to be passed on, not to be added again.
    ``refused`` says why the report was not believed; then nothing else changed.
    """

    task: TaskRow
    states: tuple[str, ...]
    attempts: tuple[AttemptChange, ...] = ()
    events: tuple[Event, ...] = ()
    refused: str = ""

    @property
    def old_state(self) -> str:
        """The state before."""
        return self.states[0]

    @property
    def new_state(self) -> str:
        """The state now."""
        return self.states[-1]
