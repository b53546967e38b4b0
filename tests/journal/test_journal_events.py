"""Events, resources and uploads."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path

import pytest

from flow_core import Flow
from flow_core.errors import NotFoundError

DAY = 86400.0


def test_events_read_back_in_order_after_a_number_for_one_task_or_all(journal):
    first = journal.add_event("task.price", "t1", {"usd": "2"}, attempt=1, rank=0, at=1.0)
    second = journal.add_event("volume.created", data={"name": "data"}, at=2.0)
    third = journal.add_event("task.released", "t1", at=0.5)
    assert journal.events() == [first, second, third]
    assert journal.events("t1") == [first, third]
    assert journal.events(after_seq=first.seq) == [second, third]
    assert journal.events("t1", after_seq=first.seq, limit=1) == [third]
    assert (first.event.attempt, first.event.rank, first.event.data) == (1, 0, {"usd": "2"})


def test_events_go_after_30_days_but_not_at_each_call(journal):
    for _ in range(200):
        journal.add_event("task.price", at=0.0)
    kept = [journal.add_event("task.price", at=30 * DAY - 1) for _ in range(55)]
    assert len(journal.events()) == 255
    last = journal.add_event("task.price", at=30 * DAY + 1)
    assert journal.events() == [*kept, last]


@pytest.mark.parametrize(("setting", "left"), [("1h", 2), ("3d", 257), ("soon", 257)])
def test_events_are_kept_as_long_as_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, left: int
) -> None:
    monkeypatch.setenv("FLOW_HOME", str(tmp_path))
    monkeypatch.setenv("FLOW_KEEP_EVENTS", setting)
    journal = Flow().session.journal
    for number in range(257):
        journal.add_event("task.price", at=DAY if number >= 255 else 0.0)
    assert len(journal.events()) == left


def test_a_client_that_nobody_closes_leaves_no_journal_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOW_HOME", str(tmp_path))
    flow = Flow()
    flow.session.journal.add_event("task.price")
    journal = weakref.ref(flow.session.journal)
    del flow
    gc.collect()
    assert journal() is None


def test_numbers_of_events_are_not_given_out_again(journal):
    for _ in range(256):
        last = journal.add_event("task.price", at=0.0)
    later = journal.add_event("task.price", at=90 * DAY)
    assert later.seq == last.seq + 1


def test_a_resource_is_an_intent_then_created_then_released(journal):
    intent = journal.add_resource_intent("flow-a", "work", "volume", task_id="t1")
    assert (intent.phase, intent.id, intent.task_id) == ("intent", None, "t1")
    created = journal.mark_resource("flow-a", "created", "vol-1")
    assert (created.phase, created.id, created.released_at) == ("created", "vol-1", None)
    released = journal.mark_resource("flow-a", "released")
    assert (released.phase, released.id, released.released_at is not None) == ("released", "vol-1", True)


def test_an_intent_recorded_twice_is_one(journal):
    journal.add_resource_intent("flow-a", "work", "volume")
    created = journal.mark_resource("flow-a", "created", "vol-1")
    assert journal.add_resource_intent("flow-a", "work", "volume") == created


def test_resources_are_listed_by_what_is_asked(journal):
    one = journal.add_resource_intent("flow-a", "work", "volume")
    two = journal.add_resource_intent("flow-b", "work", "key", task_id="t1")
    assert journal.resources() == journal.resources(profile="work") == [one, two]
    assert journal.resources(kind="key") == journal.resources(task_id="t1") == [two]
    assert journal.resources(phase="created") == journal.resources("elsewhere") == []


def test_a_resource_that_was_never_made_is_forgotten(journal):
    journal.add_resource_intent("flow-a", "work", "volume")
    journal.forget_resource("flow-a")
    assert journal.resources() == []


def test_a_resource_without_an_intent_is_not_found(journal):
    with pytest.raises(NotFoundError, match="flow-a"):
        journal.mark_resource("flow-a", "created", "vol-1")


def test_what_a_task_kept_is_there_by_key_and_the_last_counts(journal):
    journal.mark_keeping("t1", "kept", objects={"log/1.0.stdout": (10, "aa"), "artifact/out": (5, "bb")})
    journal.mark_keeping("t1", "kept", objects={"log/1.0.stdout": (20, "cc")})
    assert [(row.key, row.bytes, row.sha256) for row in journal.uploads("t1")] == [
        ("artifact/out", 5, "bb"),
        ("log/1.0.stdout", 20, "cc"),
    ]
    assert journal.uploads("t2") == []


def test_a_file_name_that_is_no_utf8_is_kept_legibly(journal):
    journal.mark_keeping("t1", "kept", objects={os.fsdecode(b"artifact/o\xff"): (1, "aa")})
    assert [row.key for row in journal.uploads("t1")] == [r"artifact/o\udcff"]
