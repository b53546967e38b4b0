"""Recording, finding and listing tasks."""

from __future__ import annotations

import time

import pytest

from flow_core.errors import ConflictError, NotFoundError
from flow_core.journal import Journal
from flow_core.types import TaskReport, new_task_id


def test_a_recorded_task_reads_back_as_it_was_given(journal, new):
    task, submission = new(config='{"command":"true"}', labels={"team": "a"}, instance_type="a100", num_instances=2)
    row = journal.record_intent(task, submission)
    assert (row.id, row.state, row.attempt, row.ref, row.existing) == (task.id, "pending", 1, None, False)
    assert (row.config, row.labels, row.instance_type, row.num_instances) == (task.config, {"team": "a"}, "a100", 2)
    assert journal.task(task.id) == row


def test_the_same_key_and_config_give_the_task_that_is_there(journal, new):
    first = journal.record_intent(*new(idempotency_key="k", fingerprint="f"))
    again = journal.record_intent(*new(idempotency_key="k", fingerprint="f"))
    assert again == first._replace(existing=True)
    assert len(journal.tasks()) == 1


def test_the_same_key_and_another_config_name_the_task_that_has_it(journal, new):
    first = journal.record_intent(*new(idempotency_key="k", fingerprint="f"))
    with pytest.raises(ConflictError, match=first.id):
        journal.record_intent(*new(idempotency_key="k", fingerprint="g"))
    assert len(journal.tasks()) == 1


def test_a_task_that_was_refused_gives_its_key_up(journal, new):
    task, submission = new(idempotency_key="k", fingerprint="f")
    journal.record_intent(task, submission)
    journal.mark_refused(submission.request_id, "quota", "failed")
    assert not journal.record_intent(*new(idempotency_key="k", fingerprint="g")).existing


def test_a_task_that_was_accepted_and_failed_keeps_its_key(journal, accepted, new):
    row = accepted(idempotency_key="k", fingerprint="f")
    journal.apply(row.id, TaskReport("failed", "broke"))
    assert journal.record_intent(*new(idempotency_key="k", fingerprint="f")).id == row.id


def test_of_many_intents_all_or_none_are_recorded(journal, new):
    journal.record_intent(*new(idempotency_key="k", fingerprint="f"))
    with pytest.raises(ConflictError):
        journal.record_intents([new(), new(idempotency_key="k", fingerprint="g")])
    assert len(journal.tasks()) == 1


def test_a_word_is_an_id_a_name_or_the_beginning_of_one_id(journal, new):
    one = journal.record_intent(*new("one", id="t0aaaaaaaaaaaaaaa"))
    two = journal.record_intent(*new("two", id="t0bbbbbbbbbbbbbbb"))
    assert journal.find(one.id).id == one.id
    assert journal.find("two").id == two.id
    assert journal.find("t0b").id == two.id


def test_of_one_name_the_newest_is_found_and_says_how_many_there_are(journal, new):
    journal.record_intent(*new("train"))
    newest = journal.record_intent(*new("train"))
    assert (journal.find("train").id, journal.find("train").newest_of) == (newest.id, 2)


def test_a_beginning_of_several_ids_lists_a_few_of_them(journal, new):
    rows = [journal.record_intent(*new(f"n{number}", id=f"t0{number}aaaaaaaaaaaaaa")) for number in range(8)]
    with pytest.raises(ConflictError, match=f"{rows[0].id} \\(n0\\).*…"):
        journal.find("t0")


def test_a_wrong_name_is_answered_with_the_nearest(journal, new):
    journal.record_intent(*new("train-resnet"))
    with pytest.raises(NotFoundError) as caught:
        journal.find("train-resent")
    assert "'train-resnet'" in caught.value.hint


@pytest.mark.parametrize("word", ["", "nothing", "%", "t_", "'", "{", "é"])
def test_a_word_that_fits_nothing_is_not_found(journal, new, word):
    journal.record_intent(*new("other"))
    with pytest.raises(NotFoundError):
        journal.find(word)


def test_an_unknown_id_is_not_found(journal):
    with pytest.raises(NotFoundError, match="t0"):
        journal.task("t0")


def test_the_newest_comes_first_even_when_the_clock_stepped_back(journal, new):
    before = journal.record_intent(*new(id=new_task_id(2e9), created_at=2e9))
    after = journal.record_intent(*new(id=new_task_id(1e9), created_at=1e9))
    assert [row.id for row in journal.tasks()] == [after.id, before.id]
    assert journal.find("train").id == after.id


def test_listing_stops_at_the_limit(journal, new):
    journal.record_intents([new() for _ in range(5)])
    assert [len(journal.tasks(limit)) for limit in (0, 3, None)] == [0, 3, 5]


def test_listing_filters_by_state_time_label_name_and_profile(journal, new):
    old = journal.record_intent(*new("old", created_at=1.0, labels={"team": "a"}))
    other = journal.record_intent(*new("other", created_at=5.0, labels={"team": "b"}, profile="there"))
    journal.finish(other.id, "cancelled", "never submitted")

    def ids(**filters):
        return [row.id for row in journal.tasks(**filters)]

    assert ids(states=["pending"]) == [old.id]
    assert ids(states=[]) == []
    assert ids(since=2.0) == [other.id]
    assert ids(label="team=a") == ids(name="old") == ids(profile="here") == [old.id]
    assert ids(label="team") == [other.id, old.id]
    assert ids(label="team", limit=1) == [other.id]
    assert ids(label="tea") == ids(label="team=c") == []


def test_counts_tell_how_many_are_in_each_state(journal, new):
    rows = journal.record_intents([new(), new(), new(profile="there")])
    journal.finish(rows[0].id, "cancelled", "never submitted")
    assert journal.counts() == {"cancelled": 1, "pending": 2}
    assert journal.counts("there") == {"pending": 1}


def test_open_tasks_are_live_and_accepted(journal, new, accepted):
    journal.record_intent(*new())
    live, ended = accepted(), accepted()
    journal.apply(ended.id, TaskReport("succeeded"))
    assert [(row.id, row.ref) for row in journal.open_tasks()] == [(live.id, live.ref)]
    assert journal.open_tasks("elsewhere") == []


def test_the_first_cancel_counts_and_an_ended_task_takes_none(journal, accepted):
    row = accepted()
    assert journal.request_cancel(row.id, at=5.0)
    assert journal.request_cancel(row.id, at=9.0)
    assert journal.task(row.id).cancel_requested_at == 5.0
    assert journal.cancel_requested(row.id)
    ended = accepted()
    journal.apply(ended.id, TaskReport("succeeded"))
    assert not journal.request_cancel(ended.id)
    assert not journal.cancel_requested(ended.id)


def test_the_newest_20_of_10000_and_the_counts_take_under_5_ms(journal, new):
    journal.record_intents([new(f"n{number % 50}", config='{"c":"' + "x" * 300 + '"}') for number in range(10_000)])
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        journal.tasks(20), journal.counts()
        times.append(time.perf_counter() - begun)
    assert min(times) < 0.005


def test_opening_an_existing_journal_runs_two_statements(path, monkeypatch):
    import sqlite3

    with Journal(path) as first:
        first.tasks()
    statements = []
    connect = sqlite3.connect

    def traced(*args, **kwargs):
        db = connect(*args, **kwargs)
        db.set_trace_callback(statements.append)
        return db

    monkeypatch.setattr(sqlite3, "connect", traced)
    with Journal(path) as second:
        second.counts()
    assert len(statements) == 3
    assert [text for text in statements if "PRAGMA" in text] == ["PRAGMA user_version", "PRAGMA synchronous = NORMAL"]


def test_a_word_that_is_no_text_names_no_task(journal: Journal) -> None:
    with pytest.raises(NotFoundError):
        journal.find("a\udcff")
