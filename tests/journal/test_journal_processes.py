"""Many processes, threads and forks at one journal, some of them killed."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flow_core.errors import TransientError
from flow_core.journal import Journal, _file

PRELUDE = """
import os, sys, time
from pathlib import Path
from flow_core.journal import Journal, NewSubmission, NewTask
from flow_core.types import TaskReport, new_request_id, new_task_id
journal = Journal(Path(sys.argv[1]))
def new(name="t", **fields):
    return NewTask(new_task_id(), name, "toy", "here", "{}", time.time(), **fields), NewSubmission(new_request_id())
def say(*words):
    print(*words, flush=True)
"""


@pytest.fixture
def start(path):
    begun = []

    def run(source: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + source, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        begun.append(child)
        return child

    yield run
    for child in begun:
        child.kill()
        child.communicate()


def test_a_journal_that_nobody_closed_leaves_no_descriptor_and_holds_no_submission(path, new):
    forgotten = Journal(path)
    task, submission = new()
    forgotten.record_intent(task, submission)
    with Journal(path) as other:
        assert other.left_behind() == []
        del forgotten
        gc.collect()
        assert [row.request_id for row in other.left_behind()] == [submission.request_id]
    held = [os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    assert [name for name in held if str(path.parent) in name] == []


def test_twenty_processes_begin_one_journal_and_write_without_an_error(start, path):
    work = """
say("up"); sys.stdin.readline()
for number in range(10):
    task, submission = new()
    journal.record_intent(task, submission)
    journal.mark_calling(submission.request_id)
    journal.mark_accepted(submission.request_id, "toy@here:" + submission.request_id)
    journal.apply(task.id, TaskReport("running"))
    journal.add_event("task.price", task.id)
journal.close()
say("done")
"""
    children = [start(work) for _ in range(20)]
    assert [child.stdout.readline() for child in children] == ["up\n"] * 20
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    assert [child.stdout.readline() for child in children] == ["done\n"] * 20
    with Journal(path) as journal:
        assert journal.counts() == {"running": 200}
        assert len(journal.open_tasks()) == 200
        assert journal.quarantined is None
        assert journal.check() == ""
    assert list((path.parent / "owners").iterdir()) == []


@pytest.mark.parametrize("phase", ["intent", "calling"])
def test_a_submission_is_unfinished_for_others_only_once_its_owner_died(start, journal, phase):
    child = start(f"""
task, submission = new()
journal.record_intent(task, submission)
if {phase!r} == "calling":
    journal.mark_calling(submission.request_id)
say(submission.request_id); sys.stdin.readline()
""")
    request_id = child.stdout.readline().strip()
    row = journal.submission(request_id)
    assert (row.phase, row.pid, journal.owner_alive(row), journal.unfinished()) == (phase, child.pid, True, [])
    assert not journal.claim(request_id)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert journal.unfinished() == journal.unfinished("here") == [row]
    assert journal.unfinished("there") == []


def test_what_its_living_owner_released_is_unfinished_for_anybody(journal, new):
    task, submission = new()
    journal.record_intent(task, submission)
    assert journal.unfinished() == []
    journal.release(submission.request_id)
    assert [row.request_id for row in journal.unfinished()] == [submission.request_id]
    assert journal.claim(submission.request_id)
    assert journal.unfinished() == []


def test_what_was_decided_cannot_be_released(journal, accepted):
    (row,) = journal.submissions(accepted().id)
    journal.release(row.request_id)
    assert journal.submission(row.request_id) == row


def test_lock_files_of_the_dead_are_removed_and_of_the_living_kept(start, journal, path):
    dead, alive = (start("journal.record_intent(*new()); say('up'); sys.stdin.readline()") for _ in range(2))
    dead.stdout.readline(), alive.stdout.readline()
    dead.kill()
    dead.wait()
    assert len(journal.unfinished()) == 1
    third = start("journal.record_intent(*new()); say('up'); sys.stdin.readline()")
    third.stdout.readline()
    left = {name.name.partition("-")[0] for name in (path.parent / "owners").iterdir()}
    assert left == {str(alive.pid), str(third.pid)}
    assert len(journal.unfinished()) == 1


def test_a_killed_process_that_left_a_child_behind_is_dead(start, journal):
    child = start("""
journal.record_intent(*new())
grandchild = os.fork()
if not grandchild:
    say(os.getpid())
    time.sleep(60)
    os._exit(0)
sys.stdin.readline()
""")
    grandchild = int(child.stdout.readline())
    try:
        child.kill()
        child.wait()
        assert len(journal.unfinished()) == 1
    finally:
        os.kill(grandchild, signal.SIGKILL)


def test_one_of_many_takes_over_what_the_dead_left(start, journal):
    dead = start("journal.record_intent(*new()); say('up'); sys.stdin.readline()")
    dead.stdout.readline()
    dead.kill()
    dead.wait()
    request_id = journal.unfinished()[0].request_id
    heirs = [start(f"say(journal.claim({request_id!r})); sys.stdin.readline()") for _ in range(4)]
    assert sorted(heir.stdout.readline() for heir in heirs) == ["False\n"] * 3 + ["True\n"]
    assert journal.unfinished() == []


def test_what_this_process_closed_without_a_decision_is_unfinished(journal, path, new):
    with Journal(path) as other:
        other.record_intent(*new())
        assert journal.unfinished() == other.unfinished() == []
    assert len(journal.unfinished()) == 1


def test_one_process_of_many_has_the_turn_to_reconcile(start):
    children = [start("say('up'); sys.stdin.readline(); say(journal.due_for_reconcile('here'))") for _ in range(6)]
    assert [child.stdout.readline() for child in children] == ["up\n"] * 6
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    assert sorted(child.stdout.readline() for child in children) == ["False\n"] * 5 + ["True\n"]


def test_the_turn_comes_again_after_its_time_for_each_profile_and_when_the_clock_steps_back(journal):
    assert journal.due_for_reconcile("here", 10.0, at=100.0)
    assert not journal.due_for_reconcile("here", 10.0, at=109.9)
    assert journal.due_for_reconcile("there", 10.0, at=109.9)
    assert journal.due_for_reconcile("here", 10.0, at=110.0)
    assert journal.due_for_reconcile("here", 10.0, at=50.0)
    assert not journal.due_for_reconcile("here", 10.0, at=51.0)


def test_the_first_look_since_the_boot_is_due(journal):
    assert journal.due_for_reconcile("here", 10.0, at=100.0)
    journal._write(lambda db: db.execute("UPDATE meta SET value = 'another boot' WHERE key = 'boot_id'"))
    assert journal.due_for_reconcile("here", 10.0, at=101.0)
    assert not journal.due_for_reconcile("here", 10.0, at=102.0)


def test_the_same_key_from_many_processes_is_one_task(start, journal):
    source = "say(journal.record_intent(*new(idempotency_key='k', fingerprint='f')).id); sys.stdin.readline()"
    children = [start(source) for _ in range(5)]
    assert len({child.stdout.readline() for child in children}) == 1
    assert journal.counts() == {"pending": 1}


def test_kills_at_any_moment_leave_a_whole_journal(start, journal):
    source = """
while True:
    task, submission = new()
    journal.record_intent(task, submission)
    say("recorded")
    journal.mark_calling(submission.request_id)
    journal.mark_accepted(submission.request_id, "toy@here:" + submission.request_id)
"""
    for count in (1, 20, 100):
        children = [start(source) for _ in range(2)]
        for child in children:
            for _ in range(count):
                child.stdout.readline()
            child.kill()
            child.wait()
    assert journal.check() == ""
    accepted = len(journal.open_tasks())
    assert accepted + len(journal.unfinished()) == sum(journal.counts().values())


def test_threads_share_one_journal(journal, new):
    errors = []

    def work() -> None:
        try:
            for _ in range(20):
                journal.record_intent(*new())
                journal.tasks()
        except Exception as error:  # every kind is a failure here
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert journal.counts() == {"pending": 160}


def test_a_forked_child_opens_its_own_and_the_parent_goes_on(start):
    child = start("""
journal.record_intent(*new())
first = journal._owner.name
pid = os.fork()
if not pid:
    journal.record_intent(*new())
    os._exit(0 if journal._owner.name != first else 1)
say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), journal.counts()["pending"], journal._owner.name == first)
say(len(journal.unfinished()), journal.check() == "")
""")
    assert child.stdout.readline() == "0 2 True\n"
    assert child.stdout.readline() == "1 True\n"


def test_importing_the_journal_does_not_import_sqlite():
    source = "import sys, flow_core.journal; sys.exit('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0


def test_a_line_that_moves_is_waited_for_however_long_it_is(path, monkeypatch):
    monkeypatch.setattr(_file, "_BUSY_SECONDS", 0.3)
    first = threading.Event()

    def write_on_and_on() -> None:
        with Journal(path) as journal:
            for _ in range(12):
                journal._write(lambda _: (first.set(), time.sleep(0.1)))

    threads = [threading.Thread(target=write_on_and_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert first.wait(30)
    with Journal(path) as journal:
        for number in range(3):
            journal.add_event(f"event.{number}")
        for thread in threads:
            thread.join(30)
        assert len(journal.events()) == 3


def test_whoever_waits_too_long_for_its_turn_is_told_and_keeps_nobody_from_theirs(path, monkeypatch):
    monkeypatch.setattr(_file, "_BUSY_SECONDS", 0.1)
    held, go = threading.Event(), threading.Event()
    with Journal(path) as one, Journal(path) as other:
        one.tasks()
        thread = threading.Thread(target=one._write, args=(lambda _: (held.set(), go.wait(30)),))
        thread.start()
        assert held.wait(30)
        with pytest.raises(TransientError, match="busy"):
            other.add_event("too.late")
        go.set()
        thread.join(30)
        monkeypatch.setattr(_file, "_BUSY_SECONDS", 30.0)
        other.add_event("in.time")
        assert [row.event.kind for row in other.events()] == ["in.time"]


def test_a_child_forked_during_a_write_keeps_nobody_from_theirs(path):
    with Journal(path) as journal:
        pid = journal._write(lambda _: _forked())
        try:
            with Journal(path) as other:
                other.add_event("after.the.fork")
            assert len(journal.events()) == 1
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _forked() -> int:
    pid = os.fork()
    if not pid:
        signal.pause()
    return pid
