"""Laws that hold for any reports in any order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from flow_core.journal import Journal, NewSubmission, NewTask
from flow_core.types import (
    FINAL_STATES,
    LIVE_STATES,
    Attempt,
    NodeReport,
    TaskReport,
    may_become,
    new_request_id,
    new_task_id,
)

STATES = st.sampled_from(sorted(LIVE_STATES | FINAL_STATES))
TIMES = st.none() | st.floats(1.0, 100.0).map(lambda value: round(value, 1))
CODES = st.none() | st.sampled_from([0, 1, 143])
NODES = st.builds(NodeReport, st.integers(0, 1), STATES, CODES, name=st.none() | st.just("n1"), ready=st.booleans())
ATTEMPTS = st.builds(
    Attempt,
    st.integers(1, 3),
    STATES,
    CODES,
    reason=st.sampled_from(["", "out of memory"]),
    started_at=TIMES,
    ended_at=TIMES,
    nodes=st.lists(NODES, max_size=2, unique_by=lambda node: node.rank).map(tuple),
    preempt_notice_at=TIMES,
)
REPORTS = st.builds(
    TaskReport,
    STATES,
    reason=st.sampled_from(["", "waiting"]),
    attempts=st.lists(ATTEMPTS, max_size=3, unique_by=lambda attempt: attempt.number).map(tuple),
    source=st.sampled_from(["node", "provider", "store"]),
    observed_at=st.floats(1.0, 100.0),
)
STEPS = st.lists(REPORTS | st.floats(1.0, 100.0) | st.sampled_from(sorted(FINAL_STATES)), max_size=8)


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    with Journal(tmp_path_factory.mktemp("laws") / "journal.db") as opened:
        yield opened


def _submitted(journal: Journal) -> str:
    task = NewTask(new_task_id(), "t", "toy", "here", "{}", 1.0)
    journal.record_intent(task, NewSubmission(new_request_id()))
    return task.id


def _take(journal, task_id, step):
    if isinstance(step, float):
        return journal.request_cancel(task_id, step) and None
    if isinstance(step, str):
        return journal.finish(task_id, step, "said so", at=50.0)
    return journal.apply(task_id, step)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_states_move_along_the_table_and_ends_stay(journal, steps):
    task_id = _submitted(journal)
    for step in steps:
        before, attempts = journal.task(task_id), journal.attempts(task_id)
        change = _take(journal, task_id, step)
        after = journal.task(task_id)
        states = change.states if change else (before.state,)
        assert (states[0], states[-1]) == (before.state, after.state)
        assert all(map(may_become, states, states[1:]))
        if before.is_final and before.state != "lost":
            assert after.state == before.state
        if change is None and not isinstance(step, float):
            assert (after, journal.attempts(task_id)) == (before, attempts)
        if change:
            assert change.task == after
        assert after.is_final == (after.ended_at is not None)


@settings(max_examples=150, deadline=None)
@given(STEPS, REPORTS)
def test_the_same_report_twice_changes_nothing_the_second_time(journal, steps, report):
    task_id = _submitted(journal)
    for step in steps:
        _take(journal, task_id, step)
    journal.apply(task_id, report)
    assert journal.apply(task_id, report) is None


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_an_attempt_that_ended_by_the_nodes_word_never_changes_its_end(journal, steps):
    task_id = _submitted(journal)
    journal.apply(
        task_id, TaskReport("running", attempts=(Attempt(1, "failed", 9), Attempt(2, "running")), source="node")
    )
    for step in steps:
        _take(journal, task_id, step)
        first = journal.attempts(task_id)[0]
        assert (first.state, first.exit_code) == ("failed", 9)
