"""Damaged files are set aside, never deleted, and a new journal is begun."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys

import pytest

from flow_core.errors import NotFoundError, StateError
from flow_core.journal import Journal


def _filled(path, new, count=200):
    with Journal(path) as journal:
        journal.record_intents([new(config="x" * 500) for _ in range(count)])


def _truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def _garbage(path):
    path.write_bytes(os.urandom(50_000))


def _empty(path):
    path.write_bytes(b"")


def _holes(path):
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))


def _foreign(path):
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()


DAMAGES = [_truncate, _garbage, _empty, _holes, _foreign]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_is_set_aside_whole_and_a_new_one_works(path, new, damage):
    _filled(path, new)
    damage(path)
    content = path.read_bytes()
    with Journal(path) as journal:
        row = journal.record_intent(*new())
        assert journal.tasks() == [row]
        kept = journal.quarantined
        assert kept.read_bytes() == content
        assert kept.name.startswith("journal.db.corrupt-")
        assert journal.check() == ""


@pytest.mark.parametrize("damage", [_truncate, _holes])
def test_damage_that_reading_meets_is_set_aside_too(path, new, damage):
    _filled(path, new)
    damage(path)
    with Journal(path) as journal:
        assert journal.tasks() == []
        assert journal.quarantined is not None


def test_a_check_sets_damage_aside_that_nobody_met(path, new):
    _filled(path, new)
    with path.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(os.urandom(4096))
    with Journal(path) as journal:
        journal._open()
        assert journal.check()
        assert journal.quarantined.exists()
        assert journal.tasks() == []


def test_the_first_look_since_the_boot_checks_the_file(path, new):
    _filled(path, new)
    with path.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(os.urandom(4096))
    with Journal(path) as journal:
        assert journal.due_for_reconcile("here")
        assert journal.quarantined is not None


def test_garbage_in_the_log_leaves_what_was_checkpointed(path, new):
    _filled(path, new, 3)
    path.with_name("journal.db-wal").write_bytes(os.urandom(20_000))
    with Journal(path) as journal:
        assert journal.counts() == {"pending": 3}
        journal.record_intent(*new())
        assert (journal.quarantined, journal.check()) == (None, "")


def test_a_log_without_its_journal_is_not_played_into_the_new_one(path, new):
    source = """
import os, sys, time
from pathlib import Path
from flow_core.journal import Journal, NewSubmission, NewTask
journal = Journal(Path(sys.argv[1]))
journal.record_intent(NewTask("t1", "t", "toy", "here", "{}", 1.0), NewSubmission("flow-1"))
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", source, str(path)], check=True)
    log = path.with_name("journal.db-wal")
    assert log.stat().st_size > 0
    path.unlink()
    with Journal(path) as journal:
        assert journal.tasks() == []
        journal.record_intent(*new())
        assert journal.check() == ""
    assert len(list(path.parent.glob("journal.db.corrupt-*-wal"))) == 1


def test_two_that_meet_the_same_damage_set_it_aside_once(path, new):
    _filled(path, new)
    with Journal(path) as first, Journal(path) as second:
        first.tasks(), second.tasks()
        _garbage(path)
        first.close()
        second.close()
        row = first.record_intent(*new())
        assert second.tasks() == [row]
        assert (first.quarantined is None, second.quarantined) == (False, None)
    assert len(list(path.parent.glob("journal.db.corrupt-*"))) == 1


def test_processes_that_meet_the_same_damage_at_once_lose_nothing_they_wrote(path, new):
    _filled(path, new)
    _garbage(path)
    source = """
import sys
from pathlib import Path
from flow_core.journal import Journal, NewSubmission, NewTask
from flow_core.types import new_request_id, new_task_id
sys.stdin.readline()
with Journal(Path(sys.argv[1])) as journal:
    for _ in range(20):
        journal.record_intent(NewTask(new_task_id(), "t", "toy", "here", "{}", 1.0), NewSubmission(new_request_id()))
"""
    children = [
        subprocess.Popen([sys.executable, "-c", source, str(path)], stdin=subprocess.PIPE, text=True) for _ in range(6)
    ]
    for child in children:
        child.stdin.write("\n")
        child.stdin.close()
    assert [child.wait() for child in children] == [0] * 6
    with Journal(path) as journal:
        assert journal.counts() == {"pending": 120}
    assert len(list(path.parent.glob("journal.db.corrupt-*"))) == 1


def test_a_process_that_has_the_old_file_open_writes_into_the_new_one(path, new):
    _filled(path, new, 3)
    with Journal(path) as holder, Journal(path) as other:
        assert holder.counts() == {"pending": 3}
        path.rename(path.with_name("journal.db.old"))
        for suffix in ("-wal", "-shm"):
            path.with_name(f"journal.db{suffix}").rename(path.with_name(f"journal.db.old{suffix}"))
        row = other.record_intent(*new())
        mine = holder.record_intent(*new())
        assert other.tasks() == [mine, row]
        assert other.check() == holder.check() == ""


def test_what_was_replaced_during_a_write_is_written_again(path):
    with Journal(path) as journal:
        journal.tasks()
        calls = []

        def work(db):
            calls.append(db)
            if len(calls) == 1:
                path.rename(path.with_name("journal.db.old"))
            return db.execute("INSERT INTO meta VALUES ('k', 'v')").rowcount

        assert journal._write(work) == 1
        assert len(calls) == 2
        assert journal._read(lambda db: db.execute("SELECT value FROM meta").fetchall()) == [("v",)]


def test_a_step_of_a_submission_that_was_set_aside_says_that_it_is_not_known(path, new):
    task, submission = new()
    with Journal(path) as journal:
        journal.record_intent(task, submission)
        journal.close()
        _garbage(path)
        with pytest.raises(NotFoundError, match=submission.request_id):
            journal.mark_accepted(submission.request_id, "toy@here:1")
        assert journal.quarantined is not None
        assert journal.adopt(task, "toy@here:1", submission.request_id).ref == "toy@here:1"


def test_damage_twice_in_one_second_is_kept_twice(path, new):
    for _ in range(2):
        _filled(path, new, 1)
        _garbage(path)
        with Journal(path) as journal:
            journal.tasks()
    assert len(list(path.parent.glob("journal.db.corrupt-*"))) == 2


def test_a_killed_creation_is_begun_again(path, new):
    _filled(path, new, 1)
    fresh = path.with_name("journal.db.new")
    shutil.copy(path, fresh)
    path.unlink()
    path.with_name("journal.db.new-journal").write_bytes(b"half")
    with Journal(path) as journal:
        assert journal.tasks() == []
    assert not fresh.exists()


def test_a_whole_journal_is_never_set_aside(path, new):
    _filled(path, new, 1)
    with Journal(path) as journal:
        journal._guarded(journal._set_aside)
        assert (journal.quarantined, journal.counts()) == (None, {"pending": 1})


def test_a_journal_of_a_newer_version_is_refused_and_left_alone(path, new):
    _filled(path, new, 1)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with Journal(path) as journal, pytest.raises(StateError, match="newer Flow") as caught:
        journal.tasks()
    assert "upgrade" in caught.value.hint
    assert list(path.parent.glob("*corrupt*")) == []
