"""What a report changes, and what it does not."""

from __future__ import annotations

import pytest

from flow_core.errors import NotFoundError
from flow_core.types import Attempt, NodeReport, TaskReport


def _ended(state="succeeded", code=0, ended=20.0, number=1, **fields):
    return Attempt(number, state, code, started_at=10.0, ended_at=ended, **fields)


def _report(state, *attempts, source="node", **fields):
    return TaskReport(state, attempts=attempts, source=source, observed_at=fields.pop("at", 30.0), **fields)


def test_a_task_runs_and_ends_with_its_times_and_exit_code(journal, accepted):
    row = accepted()
    change = journal.apply(row.id, _report("running", Attempt(1, "running", started_at=10.0)))
    assert (change.old_state, change.new_state, change.task.started_at) == ("pending", "running", 10.0)
    change = journal.apply(row.id, _report("failed", _ended("failed", 3), reason="exit 3"))
    ended = journal.task(row.id)
    assert change.task == ended
    assert (ended.state, ended.exit_code, ended.ended_at, ended.reason, ended.attempt) == (
        "failed",
        3,
        20.0,
        "exit 3",
        1,
    )


def test_an_end_without_times_takes_the_time_it_was_seen(journal, accepted):
    row = accepted()
    journal.apply(row.id, _report("running", at=10.0))
    assert journal.apply(row.id, _report("succeeded", at=25.0)).task.ended_at == 25.0
    assert journal.task(row.id).started_at == 10.0


def test_an_end_seen_before_the_start_lasts_no_negative_time(journal, accepted):
    row = accepted()
    journal.apply(row.id, _report("running", at=100.0))
    assert journal.apply(row.id, _report("succeeded", at=40.0)).task.ended_at == 100.0


def test_a_report_that_says_nothing_new_writes_nothing(journal, accepted):
    rows = [accepted() for _ in range(5)]
    report = _report("running", Attempt(1, "running", started_at=10.0, nodes=(NodeReport(0, "running"),)))
    assert len(journal.apply_all({row.id: report for row in rows})) == 5
    statements = []
    journal._connection.set_trace_callback(statements.append)
    assert journal.apply_all({row.id: report for row in rows}) == []
    assert statements
    assert all(text.startswith("SELECT") for text in statements)


def test_a_report_on_an_unknown_task_is_not_found(journal):
    with pytest.raises(NotFoundError):
        journal.apply("t0", TaskReport("running"))


def test_changes_come_with_the_events_that_were_recorded(journal, accepted):
    row = accepted()
    node = NodeReport(0, "running", ready=True)
    change = journal.apply(row.id, _report("running", Attempt(1, "running", nodes=(node,), preempt_notice_at=7.0)))
    assert [event.kind for event in change.events] == [
        "task.attempt",
        "task.preempt_notice",
        "task.ready",
        "task.state",
    ]
    assert [found.event for found in journal.events(row.id)][1:] == list(change.events)
    assert dict(change.events[-1].data) == {"from": "pending", "to": "running", "reason": ""}


def test_a_final_state_stays_and_the_contradiction_is_recorded_once(journal, accepted):
    row = accepted()
    journal.apply(row.id, _report("succeeded", _ended()))
    change = journal.apply(row.id, _report("failed", _ended("failed", 1)))
    assert (change.old_state, change.new_state, change.attempts) == ("succeeded", "succeeded", ())
    assert change.refused == "a task that is succeeded does not become failed"
    assert journal.apply(row.id, _report("failed", _ended("failed", 1))) is None
    kinds = [found.event.kind for found in journal.events(row.id)]
    assert kinds.count("task.refused_transition") == 1
    assert (journal.task(row.id).state, journal.attempts(row.id)[0].exit_code) == ("succeeded", 0)


def test_a_lost_task_is_corrected_by_a_record_that_turns_up(journal, accepted):
    row = accepted()
    journal.apply(row.id, _report("running", Attempt(1, "running", started_at=10.0)))
    journal.finish(row.id, "lost", "the machine is gone", at=50.0)
    assert journal.attempts(row.id)[0].state == "lost"
    change = journal.apply(row.id, _report("failed", _ended("failed", 4), source="store", reason="exit 4"))
    assert (change.new_state, change.task.exit_code, change.task.ended_at) == ("failed", 4, 20.0)
    assert journal.attempts(row.id)[0] == _ended("failed", 4)


def test_running_goes_back_to_pending_only_when_the_attempt_ended(journal, accepted):
    row = accepted()
    journal.apply(row.id, _report("running", Attempt(1, "running", started_at=10.0)))
    assert journal.apply(row.id, _report("pending", source="provider")).refused
    change = journal.apply(row.id, _report("pending", _ended("preempted", None)))
    assert (change.new_state, change.task.attempt, change.task.exit_code) == ("pending", 2, None)
    change = journal.apply(row.id, _report("running", _ended("preempted", None), Attempt(2, "running")))
    assert (change.new_state, change.task.attempt, change.task.started_at) == ("running", 2, 10.0)


def test_a_new_attempt_seen_while_machines_come_up_passes_through_pending(journal, accepted):
    row = accepted()
    journal.apply(row.id, _report("running", Attempt(1, "running")))
    change = journal.apply(row.id, _report("provisioning", _ended("preempted", None), Attempt(2, "provisioning")))
    assert change.states == ("running", "pending", "provisioning")
    assert [event.data["to"] for event in change.events if event.kind == "task.state"] == ["pending", "provisioning"]


def test_a_retry_seen_as_running_is_the_next_attempt_of_the_same_state(journal, accepted):
    row = accepted()
    journal.apply(row.id, _report("running", Attempt(1, "running")))
    change = journal.apply(row.id, _report("running", _ended("failed", 1), Attempt(2, "running")))
    assert (change.states, change.task.attempt) == (("running",), 2)
    assert [(c.old and c.old.state, c.new.state) for c in change.attempts] == [("running", "failed"), (None, "running")]


def test_a_report_of_an_earlier_attempt_comes_too_late(journal, accepted):
    row = accepted()
    stale = _report("running", Attempt(1, "running"))
    journal.apply(row.id, stale)
    journal.apply(row.id, _report("pending", _ended("failed", 1)))
    assert journal.apply(row.id, stale).refused == "attempt 1 is over"
    journal.apply(row.id, _report("running", _ended("failed", 1), Attempt(2, "running")))
    assert journal.apply(row.id, stale).refused == "attempt 2 has begun, and it speaks of 1"
    assert journal.task(row.id).attempt == 2


def test_a_state_that_does_not_exist_is_refused(journal, accepted):
    row = accepted()
    assert journal.apply(row.id, _report("melted")).refused
    assert journal.apply(row.id, _report("running", Attempt(1, "melted"))).refused == "there is no state 'melted'"


@pytest.mark.parametrize("first", ["node", "provider"])
def test_the_nodes_exit_record_is_believed_before_the_providers(journal, accepted, first):
    row = accepted()
    journal.apply(row.id, _report("running", Attempt(1, "running")))
    told = {
        "node": _report("running", _ended("failed", 3), Attempt(2, "running")),
        "provider": _report("running", _ended("preempted", 9), Attempt(2, "running"), source="provider"),
    }
    for source in sorted(told, key=lambda name: name != first):
        journal.apply(row.id, told[source])
    assert (journal.attempts(row.id)[0].state, journal.attempts(row.id)[0].exit_code) == ("failed", 3)


def test_what_the_better_witness_leaves_open_the_other_fills(journal, accepted):
    row = accepted()
    node = NodeReport(0, "running", started_at=10.0, ready=True)
    machine = NodeReport(0, "running", name="n1", address="10.0.0.1")
    journal.apply(row.id, _report("running", Attempt(1, "running", nodes=(node,))))
    provider = _report("running", Attempt(1, "running", nodes=(machine,)), source="provider")
    assert journal.apply(row.id, provider)
    expected = NodeReport(0, "running", name="n1", address="10.0.0.1", ready=True, started_at=10.0)
    assert journal.attempts(row.id)[0].nodes == (expected,)
    assert journal.apply(row.id, _report("running", Attempt(1, "running", nodes=(node,)))) is None
    assert journal.apply(row.id, provider) is None


def test_a_late_exit_code_is_added_to_an_end_that_had_none(journal, accepted):
    row = accepted()
    journal.apply(row.id, _report("failed", source="provider"))
    change = journal.apply(row.id, _report("failed", _ended("failed", 7), source="store"))
    assert (change.states, change.task.exit_code) == (("failed",), 7)


def test_attempts_of_an_ended_task_are_over(journal, accepted):
    row = accepted()
    journal.apply(row.id, _report("running", Attempt(1, "running", started_at=10.0)))
    journal.apply(row.id, _report("failed", source="provider", reason="machine broke"))
    attempt = journal.attempts(row.id)[0]
    assert (attempt.state, attempt.ended_at, attempt.reason) == ("failed", 30.0, "machine broke")


def test_attempts_remember_the_submission_they_came_from(journal, accepted):
    row = accepted()
    journal.apply(row.id, _report("running", Attempt(1, "running")))
    request_id = journal.submissions(row.id)[0].request_id
    assert journal._read(lambda db: db.execute("SELECT request_id FROM attempts").fetchall()) == [(request_id,)]


def test_a_reason_that_changes_while_waiting_is_kept(journal, accepted):
    row = accepted()
    journal.apply(row.id, TaskReport("pending", "in the queue", source="provider"))
    assert journal.apply(row.id, TaskReport("pending", source="node")) is None
    change = journal.apply(row.id, TaskReport("pending", "waiting for memory", source="provider"))
    assert (change.states, change.events, change.task.reason) == (("pending",), (), "waiting for memory")


def test_it_is_cancelled_when_a_cancel_was_recorded_and_it_ended_later(journal, accepted):
    row = accepted()
    journal.request_cancel(row.id, at=15.0)
    change = journal.apply(row.id, _report("failed", _ended("failed", 143, ended=20.0)))
    assert (change.new_state, change.task.exit_code) == ("cancelled", 143)
    assert journal.apply(row.id, _report("failed", _ended("failed", 143, ended=20.0))) is None


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 3), ("timed_out", 124)])
def test_an_exit_record_that_is_older_than_the_cancel_wins(journal, accepted, state, code):
    row = accepted()
    journal.request_cancel(row.id, at=25.0)
    change = journal.apply(row.id, _report("cancelled", _ended(state, code, ended=20.0)))
    assert (change.new_state, change.task.exit_code) == (state, code)


def test_an_end_that_a_cancel_brought_is_one_though_its_file_is_a_clock_tick_older(journal, accepted):
    row = accepted()
    journal.request_cancel(row.id, at=20.003)
    change = journal.apply(row.id, _report("cancelled", _ended("cancelled", 143, ended=20.0)))
    assert (change.new_state, change.task.exit_code) == ("cancelled", 143)


def test_a_cancel_while_the_next_attempt_was_waited_for_is_one(journal, accepted):
    row = accepted()
    journal.apply(row.id, _report("pending", _ended("failed", 1, ended=20.0)))
    journal.request_cancel(row.id, at=25.0)
    assert journal.apply(row.id, _report("cancelled", _ended("failed", 1, ended=20.0))).new_state == "cancelled"


def test_a_success_whose_time_nobody_saw_is_no_cancel(journal, accepted):
    row = accepted()
    journal.request_cancel(row.id, at=25.0)
    assert journal.apply(row.id, _report("succeeded", Attempt(1, "succeeded", 0))).new_state == "succeeded"


def test_a_cancel_at_the_provider_that_nobody_recorded_is_a_failure_that_says_so(journal, accepted):
    row = accepted()
    change = journal.apply(row.id, _report("cancelled", source="provider", reason="by root"))
    assert (change.new_state, change.task.reason) == ("failed", "cancelled at the provider, not by Flow. by root")


def test_a_node_that_saw_the_cancel_is_believed(journal, accepted):
    row = accepted()
    assert journal.apply(row.id, _report("cancelled", _ended("cancelled", 143))).new_state == "cancelled"


def test_finish_ends_a_task_that_was_never_submitted(journal, new):
    task, submission = new()
    journal.record_intent(task, submission)
    change = journal.finish(task.id, "cancelled", "never submitted", at=40.0)
    assert (change.new_state, change.task.ended_at, change.task.started_at) == ("cancelled", 40.0, None)
    assert journal.finish(task.id, "cancelled", "never submitted") is None
    assert journal.finish(task.id, "failed", "refused").refused


def test_a_node_that_becomes_ready_or_unready_while_it_runs_is_told_once(journal, accepted):
    row = accepted()
    events = []
    for ready in (False, True, True, False, True):
        node = NodeReport(0, "running", ready=ready, reason="ready" if ready else "not ready yet")
        change = journal.apply(row.id, _report("running", Attempt(1, "running", started_at=10.0, nodes=(node,))))
        events.append([event.kind for event in change.events if event.kind == "task.ready"] if change else None)
        assert journal.attempts(row.id)[0].nodes == (node,)
    assert events == [[], ["task.ready"], None, [], ["task.ready"]]
