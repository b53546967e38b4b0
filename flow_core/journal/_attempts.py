"""Attempts as they are kept, and how what several witnesses say of one becomes one record.

Believed in this order: the exit record in the node's folder, its copy in a store, the provider's exit code, the
provider's state. What the better witness leaves open, the other fills.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from flow_core.types import FINAL_STATES, Attempt, NodeReport

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

CLOSED = "core"
"""The source of an end that nobody witnessed: the task ended, so its attempt did."""

_TRUST = {CLOSED: 0, "provider": 1, "store": 2, "node": 3}
_PROGRESS = {"pending": 0, "provisioning": 1, "running": 2}
_OPEN: tuple[object, ...] = (None, "", ())
_ANY_TIME = ("started_at", "preempt_notice_at", "name", "address")
_SAME_STATE = (*_ANY_TIME, "ended_at", "exit_code", "signal", "reason")

R = TypeVar("R", Attempt, NodeReport)


@attrs.frozen
class Held:
    """What is known of an attempt, and the best witness that it was heard from."""

    attempt: Attempt
    source: str

    @property
    def is_over(self) -> bool:
        """Whether the attempt has ended."""
        return self.attempt.state in FINAL_STATES


def merge(held: Mapping[int, Held], told: Iterable[Attempt], source: str) -> dict[int, Held]:
    """Return what is known after ``source`` told of these attempts."""
    known = dict(held)
    for attempt in told:
        known[attempt.number] = _merge_attempt(known.get(attempt.number), Held(attempt, source))
    return known


def _merge_attempt(old: Held | None, new: Held) -> Held:
    old = old or Held(attrs.evolve(new.attempt, nodes=()), new.source)
    ahead = _is_ahead(new.attempt, new.source, old.attempt, old.source)
    first, second = (new, old) if ahead else (old, new)
    nodes = _merge_nodes(first, second)
    source = max(first.source, second.source, key=_trust) if not first.is_over else first.source
    return Held(attrs.evolve(_filled(first.attempt, second.attempt), nodes=nodes), source)


def _merge_nodes(first: Held, second: Held) -> tuple[NodeReport, ...]:
    known = {node.rank: node for node in second.attempt.nodes}
    for node in first.attempt.nodes:
        other = known.get(node.rank)
        if other is None:
            known[node.rank] = node
        elif _is_ahead(other, second.source, node, first.source) and not _is_ahead(
            node, first.source, other, second.source
        ):
            known[node.rank] = _filled(other, node)
        else:
            known[node.rank] = _filled(node, other)
    return tuple(known[rank] for rank in sorted(known))


def _is_ahead(new: Attempt | NodeReport, source: str, old: Attempt | NodeReport, other: str) -> bool:
    """Say whether ``new`` is to be believed before ``old``: the better witness of an end, else what is further on."""
    weights = _weight(new, source), _weight(old, other)
    if weights != (0, 0):
        return weights[0] > weights[1]
    steps = _PROGRESS.get(new.state, -1), _PROGRESS.get(old.state, -1)
    return steps[0] > steps[1] or (steps[0] == steps[1] and _trust(source) >= _trust(other))


def _weight(record: Attempt | NodeReport, source: str) -> int:
    if record.state not in FINAL_STATES:
        return 0
    if record.state == "lost" or source == CLOSED:
        return 1
    if _trust(source) > _TRUST["provider"]:
        return 2 + _trust(source)
    return 3 if record.exit_code is not None else 2


def _trust(source: str) -> int:
    return _TRUST.get(source, _TRUST["provider"])


def _filled(base: R, other: R) -> R:
    """Return ``base`` with what it leaves open taken from ``other``; ends are taken from the same end only."""
    names = _SAME_STATE if base.state == other.state else _ANY_TIME
    gaps = {n: getattr(other, n) for n in names if hasattr(base, n) and getattr(base, n) in _OPEN}
    changes: dict[str, Any] = {name: value for name, value in gaps.items() if value not in _OPEN}
    return attrs.evolve(base, **changes) if changes else base


def read_attempts(db: sqlite3.Connection, task_id: str) -> dict[int, Held]:
    """Return what is known of a task's attempts by number."""
    query = (
        "SELECT source, nodes, number, state, exit_code, signal, reason, started_at, ended_at, preempt_notice_at "
        "FROM attempts WHERE task_id = ?"
    )
    rows = db.execute(query, (task_id,)).fetchall()
    return {row[2]: _held(*row) for row in rows}


def write_attempt(db: sqlite3.Connection, task_id: str, request_id: str | None, held: Held) -> None:
    """Insert or replace one attempt inside a transaction; the submission that a known one came from stays."""
    attempt = held.attempt
    db.execute(
        "INSERT INTO attempts (task_id, number, request_id, state, exit_code, signal, reason, started_at, ended_at, "
        "preempt_notice_at, source, nodes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (task_id, number) DO UPDATE SET state = excluded.state, exit_code = excluded.exit_code, "
        "signal = excluded.signal, reason = excluded.reason, started_at = excluded.started_at, "
        "ended_at = excluded.ended_at, preempt_notice_at = excluded.preempt_notice_at, source = excluded.source, "
        "nodes = excluded.nodes",
        (
            task_id,
            attempt.number,
            request_id,
            attempt.state,
            attempt.exit_code,
            attempt.signal,
            attempt.reason,
            attempt.started_at,
            attempt.ended_at,
            attempt.preempt_notice_at,
            held.source,
            json.dumps([attrs.asdict(node, filter=_is_said) for node in attempt.nodes]),
        ),
    )


def _held(source: str, nodes: str, *fields: Any) -> Held:
    names = ("number", "state", "exit_code", "signal", "reason", "started_at", "ended_at", "preempt_notice_at")
    return Held(Attempt(nodes=_nodes(nodes), **dict(zip(names, fields, strict=True))), source)


def _nodes(text: str) -> tuple[NodeReport, ...]:
    return tuple(NodeReport(**node) for node in json.loads(text)) if text != "[]" else ()


def _is_said(_: object, value: object) -> bool:
    return value not in _OPEN and value is not False
