"""What is known of a submitted task: states, attempts, nodes, references."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import parse_qsl, quote, unquote

import attrs

from flow_core.types._mapping import EMPTY, ReadOnly, read_only

PENDING, PROVISIONING, RUNNING = "pending", "provisioning", "running"
SUCCEEDED, FAILED, CANCELLED, TIMED_OUT, LOST, PREEMPTED = (
    "succeeded",
    "failed",
    "cancelled",
    "timed_out",
    "lost",
    "preempted",
)

LIVE_STATES = frozenset({PENDING, PROVISIONING, RUNNING})
FINAL_STATES = frozenset({SUCCEEDED, FAILED, CANCELLED, TIMED_OUT, LOST, PREEMPTED})

TRANSITIONS: Mapping[str, frozenset[str]] = ReadOnly(
    {
        PENDING: frozenset({PROVISIONING, RUNNING, *FINAL_STATES}),
        PROVISIONING: frozenset({PENDING, RUNNING, *FINAL_STATES}),
        RUNNING: frozenset({PENDING, *FINAL_STATES}),
        LOST: frozenset(FINAL_STATES - {LOST}),
        **{state: frozenset() for state in FINAL_STATES - {LOST}},
    }
)
"""Legal changes of a task's state. ``running -> pending`` is a new attempt; ``lost`` alone may be corrected by a late record."""


def may_become(old: str, new: str) -> bool:
    """Say whether a task in state ``old`` may be reported as ``new``; staying is always legal."""
    return old == new or new in TRANSITIONS[old]


@attrs.frozen
class NodeReport:
    """One rank of one attempt. Times are UTC seconds; ``ready`` is a running service's flag.

    ``signal_inferred``: nobody saw the signal, it is read from an exit code of 128 and more, as a shell has it.
    """

    rank: int
    state: str
    exit_code: int | None = None
    signal: int | None = None
    name: str | None = None
    address: str | None = None
    ready: bool = False
    started_at: float | None = None
    ended_at: float | None = None
    reason: str = ""
    signal_inferred: bool = False


@attrs.frozen
class Attempt:
    """One try at running a task, numbered from 1; its exit code is the first failing rank's."""

    number: int
    state: str
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    nodes: tuple[NodeReport, ...] = ()
    preempt_notice_at: float | None = None


@attrs.frozen
class TaskReport:
    """A provider's (or a node's) word on a task at ``observed_at``, UTC seconds.

    ``reason`` is one line a person can act on; ``source`` is ``node``, ``provider`` or ``store``: where they differ, the
    node is believed first. ``expected_start`` is UTC seconds, ``price_per_hour`` USD for all nodes.
    ``needs_client``: it goes on when a client has delivered its files, which happens while one asks for its status.
    """

    state: str
    reason: str = ""
    attempts: tuple[Attempt, ...] = ()
    source: str = "provider"
    observed_at: float = 0.0
    expected_start: float | None = None
    price_per_hour: Decimal | None = None
    machine_held: bool = False
    needs_client: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the task has ended."""
        return self.state in FINAL_STATES


@attrs.frozen
class TaskRef:
    """A provider's name for a task. Equal by ``id``; ``extra`` is what tells apart ids that may be handed out again."""

    id: str
    extra: Mapping[str, str] = attrs.field(default=EMPTY, eq=False, converter=read_only)


def format_ref(provider: str, profile: str, ref: TaskRef) -> str:
    """Return the text form, ``provider@profile:id[?k=v&k=v]`` with percent-encoded parts, as in the journal."""
    query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(ref.extra.items()))
    return f"{quote(provider, safe='')}@{quote(profile, safe='')}:{quote(ref.id, safe='/')}" + (
        f"?{query}" if query else ""
    )


def parse_ref(text: str) -> tuple[str, str, TaskRef]:
    """Return (provider, profile, ref) of :func:`format_ref`'s text; ValueError when it is not one."""
    provider, at, rest = text.partition("@")
    profile, colon, tail = rest.partition(":")
    name, _, query = tail.partition("?")
    if not (at and colon and provider and name):
        raise ValueError(f"{text!r} is not provider@profile:id")
    return unquote(provider), unquote(profile), TaskRef(unquote(name), dict(parse_qsl(query, keep_blank_values=True)))
