"""What a report means for a task: its next state by the table of legal changes, or why it is not believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from flow_core.journal._attempts import CLOSED, Held, merge
from flow_core.types import FINAL_STATES, LIVE_STATES, TaskReport, may_become

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flow_core.journal._rows import TaskRow

_PENDING, _PROVISIONING, _RUNNING, _CANCELLED = "pending", "provisioning", "running", "cancelled"
_OWN_ENDS = frozenset({"succeeded", "failed", "timed_out"})
_TICK = 0.02  # seconds that the time of an exit record, which is a file's, may be behind the clock


@attrs.frozen
class Verdict:
    """A task and its attempts after a report; ``states`` were passed through, ``refused`` says why not."""

    task: TaskRow
    states: tuple[str, ...]
    attempts: Mapping[int, Held]
    refused: str = ""


def judge(task: TaskRow, held: Mapping[int, Held], report: TaskReport, now: float) -> Verdict:
    """Return what ``report`` makes of the task. ``now`` (UTC seconds) stands in where it has no time."""
    known = merge(held, report.attempts, report.source)
    believed = _with_cancel(task, report, known)
    if refused := _why_not(task, held, believed):
        return Verdict(task, (task.state, believed.state), held, refused)
    return settle(task, known, believed, now)


def settle(task: TaskRow, known: Mapping[int, Held], report: TaskReport, now: float) -> Verdict:
    """Return the task after a report that is believed."""
    observed = report.observed_at or now
    started = task.started_at if task.started_at is not None else _first_start(known, report, observed)
    final = report.state in FINAL_STATES
    latest = known.get(max(known, default=0))
    after = task._replace(
        state=report.state,
        reason=_reason(task, report, latest),
        started_at=started,
        ended_at=_end(task, known, report, started, observed) if final else None,
        exit_code=_exit_code(task, report, latest) if final else None,
        attempt=_attempt(task, latest, final),
    )
    return Verdict(after, _states(task.state, report.state), _closed(known, after) if final else known)


def _with_cancel(task: TaskRow, report: TaskReport, known: Mapping[int, Held]) -> TaskReport:
    """Return the report as a cancel has it.

    A task ends as cancelled when a cancel was recorded and it ended; an exit record that is older than that wins.
    """
    if task.is_final and task.state == report.state:
        return report
    cancel, latest = task.cancel_requested_at, known.get(max(known, default=0))
    ended = latest.attempt.ended_at if latest and latest.is_over and latest.source != CLOSED else None
    if report.state == _CANCELLED and cancel is None and report.source == "provider":
        return attrs.evolve(
            report, state="failed", reason=f"cancelled at the provider, not by Flow. {report.reason}".strip()
        )
    if cancel is None or report.state not in {_CANCELLED, "preempted", *_OWN_ENDS}:
        return report
    if latest and ended is not None and ended < cancel - (_TICK if report.state == _CANCELLED else 0.0):
        waited = task.attempt > latest.attempt.number  # for a next attempt, which the cancel has kept from coming
        return report if waited or report.state != _CANCELLED else attrs.evolve(report, state=_own_end(latest))
    # Nobody saw when it ended: a task that was stopped seldom says 0.
    if report.state == "succeeded" and ended is None:
        return report
    return attrs.evolve(report, state=_CANCELLED)


def _own_end(latest: Held) -> str:
    attempt = latest.attempt
    if attempt.exit_code is None or attempt.state in _OWN_ENDS:
        return attempt.state if attempt.state in _OWN_ENDS else _CANCELLED
    return "failed" if attempt.exit_code else "succeeded"


def _why_not(task: TaskRow, held: Mapping[int, Held], report: TaskReport) -> str:
    """Return why the report cannot be true of this task as it is known, "" when it can."""
    if unknown := {attempt.state for attempt in report.attempts} - FINAL_STATES - LIVE_STATES:
        return f"there is no state {min(unknown)!r}"
    states = _states(task.state, report.state)
    if not all(map(may_become, states, states[1:])):
        return f"a task that is {task.state} does not become {report.state}"
    if report.state in FINAL_STATES:
        return ""
    last = max(report.attempts, key=lambda attempt: attempt.number, default=None)
    over = last is not None and last.state in FINAL_STATES
    newest = max(held, default=0)
    if (
        task.state == _RUNNING
        and report.state != _RUNNING
        and not (last and (over or last.number > max(newest, task.attempt)))
    ):
        return "nothing says that the running attempt ended"
    if last is None:
        return ""
    if last.number < newest:
        return f"attempt {newest} has begun, and it speaks of {last.number}"
    if not over and last.number in held and held[last.number].is_over:
        return f"attempt {last.number} is over"
    return ""


def _states(old: str, new: str) -> tuple[str, ...]:
    """Return the states from ``old`` to ``new``: a new attempt starts as pending, seen or not."""
    if old == new:
        return (old,)
    return (old, _PENDING, new) if (old, new) == (_RUNNING, _PROVISIONING) else (old, new)


def _reason(task: TaskRow, report: TaskReport, latest: Held | None) -> str:
    if task.state == report.state:
        return (task.reason if task.is_final else report.reason) or task.reason or report.reason
    return report.reason or (latest.attempt.reason if latest else "")


def _first_start(known: Mapping[int, Held], report: TaskReport, observed: float) -> float | None:
    starts = [held.attempt.started_at for held in known.values() if held.attempt.started_at is not None]
    return min(starts) if starts else observed if report.state == _RUNNING else None


def _end(
    task: TaskRow, known: Mapping[int, Held], report: TaskReport, started: float | None, observed: float
) -> float | None:
    if task.state == report.state and task.ended_at is not None:
        return task.ended_at
    ends = [held.attempt.ended_at for held in known.values() if held.attempt.ended_at is not None]
    return max(ends) if ends else max(observed, started or 0.0)


def _exit_code(task: TaskRow, report: TaskReport, latest: Held | None) -> int | None:
    if task.state == report.state and task.exit_code is not None:
        return task.exit_code
    told = max(report.attempts, key=lambda attempt: attempt.number, default=None)
    found = latest.attempt.exit_code if latest else None
    return found if found is not None or told is None else told.exit_code


def _attempt(task: TaskRow, latest: Held | None, final: bool) -> int:
    if latest is None:
        return task.attempt
    return latest.attempt.number + (1 if latest.is_over and not final else 0)


def _closed(known: Mapping[int, Held], task: TaskRow) -> dict[int, Held]:
    """Return the attempts of a task that ended: none of them goes on."""
    return {number: held if held.is_over else _close(held, task) for number, held in known.items()}


def _close(held: Held, task: TaskRow) -> Held:
    return Held(attrs.evolve(held.attempt, state=task.state, ended_at=task.ended_at, reason=task.reason), CLOSED)
