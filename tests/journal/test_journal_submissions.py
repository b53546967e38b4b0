"""Submissions: an intent first, then what became of it."""

from __future__ import annotations

import pytest

from flow_core.errors import ConflictError, NotFoundError
from flow_core.journal import NewSubmission
from flow_core.types import TaskReport, new_request_id


def test_a_submission_goes_from_intent_by_calling_to_accepted(journal, new):
    task, submission = new()
    phases = []
    journal.record_intent(task, submission)
    phases.append(journal.submission(submission.request_id).phase)
    journal.mark_calling(submission.request_id)
    phases.append(journal.submission(submission.request_id).phase)
    event = journal.mark_accepted(submission.request_id, "toy@here:1")
    row = journal.submission(submission.request_id)
    assert [*phases, row.phase] == ["intent", "calling", "accepted"]
    assert (row.ref, row.number, row.provider, row.profile) == ("toy@here:1", 1, "toy", "here")
    assert (event.kind, event.task_id, event.data["ref"]) == ("task.submitted", task.id, "toy@here:1")
    assert [found.event for found in journal.events(task.id)] == [event]


def test_accepting_again_with_the_same_ref_changes_nothing(journal, accepted):
    row = accepted()
    request_id = journal.submissions(row.id)[0].request_id
    assert journal.mark_accepted(request_id, row.ref) is None
    assert len(journal.events(row.id)) == 1


def test_accepting_with_another_ref_is_a_conflict(journal, accepted):
    row = accepted()
    request_id = journal.submissions(row.id)[0].request_id
    with pytest.raises(ConflictError, match="accepted already"):
        journal.mark_accepted(request_id, "toy@here:other")
    assert journal.task(row.id).ref == row.ref


def test_a_decided_submission_is_not_called_again(journal, new):
    task, submission = new()
    journal.record_intent(task, submission)
    journal.mark_abandoned(submission.request_id, "never arrived")
    with pytest.raises(ConflictError, match="abandoned already"):
        journal.mark_calling(submission.request_id)


@pytest.mark.parametrize(("mark", "phase"), [("mark_refused", "refused"), ("mark_abandoned", "abandoned")])
def test_giving_up_ends_the_task_in_the_same_step(journal, new, mark, phase):
    task, submission = new()
    journal.record_intent(task, submission)
    change = getattr(journal, mark)(submission.request_id, "never submitted", "cancelled")
    assert (change.old_state, change.new_state, change.task.reason) == ("pending", "cancelled", "never submitted")
    row = journal.submission(submission.request_id)
    assert (row.phase, row.error, row.gave_up_at is not None) == (phase, "never submitted", True)


def test_giving_up_without_a_state_leaves_the_task_live(journal, new):
    task, submission = new()
    journal.record_intent(task, submission)
    assert journal.mark_abandoned(submission.request_id, "forgotten") is None
    assert journal.task(task.id).state == "pending"


def test_many_submissions_are_called_and_accepted_at_once(journal, new):
    pairs = [new() for _ in range(3)]
    journal.record_intents(pairs)
    ids = [submission.request_id for _, submission in pairs]
    journal.mark_calling(*ids)
    events = journal.mark_accepted_all({request_id: f"toy@here:{request_id}" for request_id in ids})
    assert [event.task_id for event in events] == [task.id for task, _ in pairs]
    assert len(journal.open_tasks()) == 3


def test_an_unknown_submission_is_not_found_and_nothing_of_the_call_is_kept(journal, new):
    task, submission = new()
    journal.record_intent(task, submission)
    with pytest.raises(NotFoundError):
        journal.mark_accepted_all({submission.request_id: "toy@here:1", "flow-unknown": "toy@here:2"})
    assert journal.submission(submission.request_id).phase == "intent"


def test_a_resubmission_has_the_next_number_and_its_ref_is_the_tasks(journal, accepted):
    row = accepted()
    again = journal.add_submission(row.id, NewSubmission(new_request_id()))
    assert (again.number, journal.task(row.id).ref) == (2, row.ref)
    journal.mark_accepted(again.request_id, "toy@here:2")
    assert journal.task(row.id).ref == "toy@here:2"


def test_an_ended_task_is_not_submitted_again(journal, accepted):
    row = accepted()
    journal.apply(row.id, TaskReport("failed"))
    with pytest.raises(ConflictError, match="failed"):
        journal.add_submission(row.id, NewSubmission(new_request_id()))


def test_a_task_that_is_being_submitted_is_not_submitted_beside(journal, new):
    task, submission = new()
    journal.record_intent(task, submission)
    with pytest.raises(ConflictError, match=submission.request_id):
        journal.add_submission(task.id, NewSubmission(new_request_id()))


def test_a_surplus_ref_stays_listed_until_it_is_closed(journal, accepted):
    row = accepted()
    request_id = journal.submissions(row.id)[0].request_id
    surplus = journal.mark_duplicate(request_id, "toy@here:surplus")
    assert journal.mark_duplicate(request_id, "toy@here:surplus") == surplus
    assert journal.duplicates() == journal.duplicates("here") == [surplus]
    assert journal.duplicates("there") == []
    assert journal.task(row.id).ref == row.ref
    journal.close_duplicate(surplus.request_id)
    assert journal.duplicates() == []


def test_an_abandoned_submission_that_landed_late_becomes_a_duplicate(journal, new):
    task, submission = new()
    journal.record_intent(task, submission)
    journal.mark_abandoned(submission.request_id, "never arrived", "cancelled")
    late = journal.mark_duplicate(submission.request_id, "toy@here:late")
    assert (late.request_id, late.phase, late.ref) == (submission.request_id, "duplicate", "toy@here:late")
    assert journal.duplicates() == [late]


def test_the_accepted_ref_is_no_duplicate_of_itself(journal, accepted):
    row = accepted()
    request_id = journal.submissions(row.id)[0].request_id
    assert journal.mark_duplicate(request_id, row.ref).phase == "accepted"
    assert journal.duplicates() == []


def test_an_adopted_task_is_live_and_accepted(journal, new):
    task, submission = new()
    row = journal.adopt(task, "toy@here:found", submission.request_id)
    assert (row.state, row.ref, row.existing) == ("pending", "toy@here:found", False)
    assert journal.open_tasks() == [row]
    assert journal.adopt(task, "toy@here:found", submission.request_id) == row._replace(existing=True)


def test_adopting_a_known_intent_accepts_it(journal, new):
    task, submission = new()
    journal.record_intent(task, submission)
    assert journal.adopt(task, "toy@here:found", submission.request_id).ref == "toy@here:found"
    assert len(journal.submissions(task.id)) == 1


def test_an_adopted_task_whose_key_is_taken_goes_without(journal, new):
    first = journal.record_intent(*new(idempotency_key="k"))
    task, submission = new(idempotency_key="k")
    assert journal.adopt(task, "toy@here:found", submission.request_id).idempotency_key is None
    assert journal.task(first.id).idempotency_key == "k"


@pytest.mark.parametrize("money", [True, False])
def test_steps_before_a_call_that_costs_money_are_synced_to_the_disk(journal, new, money):
    journal.tasks()
    statements = []
    journal._connection.set_trace_callback(statements.append)
    task, submission = new(money=money)
    journal.record_intent(task, submission)
    journal.mark_calling(submission.request_id)
    assert statements.count("PRAGMA synchronous = FULL") == (2 if money else 0)
    assert statements.count("PRAGMA synchronous = NORMAL") == statements.count("PRAGMA synchronous = FULL")


def test_an_intent_may_say_at_once_that_the_provider_is_called(journal, new):
    task, submission = new()
    journal.record_intent(task, submission, calling=True)
    row = journal.submission(submission.request_id)
    assert (row.phase, row.called_at, row.number) == ("calling", task.created_at, 1)
