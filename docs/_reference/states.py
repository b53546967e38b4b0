"""The states of a task, from the table of transitions."""

from __future__ import annotations

from collections.abc import Mapping

from _reference.markdown import code, page, table
from flow_core.types import FINAL_STATES, LIVE_STATES, TRANSITIONS

_INTRO = """
A task is in one of these states. A change that the table does not allow is refused and noted as an event. A state says
where a task is; `reason` says in one line why.
"""
_MEANING = {
    "pending": "accepted, or waiting for a place, a dependency or the next attempt",
    "provisioning": "the provider is getting machines",
    "running": "the command runs",
    "succeeded": "every rank ended with exit code 0",
    "failed": "a rank ended otherwise, or the task could not be started",
    "cancelled": "a cancel was asked for, and it ended",
    "timed_out": "its time limit ended it",
    "preempted": "it was preempted more often than `max_preemptions` allows",
    "lost": "it is gone and nobody recorded how it ended, as after a reboot; a record found later corrects this",
}
_ATTEMPTS = """
An attempt is one try. `retries` and preemptions make more: the task goes back to `pending`, with the next attempt
number. A timed-out attempt is not retried. Each rank has a state and an exit code of its own; the task's exit code is
that of the rank that failed first.
"""


def pages() -> Mapping[str, str]:
    """Return the page."""
    states = [state for state in _MEANING if state in LIVE_STATES | FINAL_STATES]
    assert set(states) == LIVE_STATES | FINAL_STATES
    rows = ((code(state), "yes" if state in FINAL_STATES else "no", _next(state), _MEANING[state]) for state in states)
    return {"states.md": page("States", _INTRO, table(("state", "final", "may become", "meaning"), rows), _ATTEMPTS)}


def _next(state: str) -> str:
    return ", ".join(code(other) for other in _MEANING if other in TRANSITIONS[state])
