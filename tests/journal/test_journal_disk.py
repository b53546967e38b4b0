"""Full disks, read-only folders, other versions, other file systems."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from flow_core.errors import StateError, TransientError
from flow_core.journal import Journal, NewSubmission, NewTask, _database, _file, _schema

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "flow-test", str(folder)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return ballast


def test_a_full_disk_is_said_and_nothing_that_was_recorded_is_lost(disk, new):
    with Journal(disk / "journal.db") as journal:
        kept = journal.record_intent(*new())
        ballast = _fill(disk)
        with pytest.raises(StateError, match="no space left") as caught:
            journal.record_intents([new(config="x" * 4000) for _ in range(100)])
        assert "free some space" in caught.value.hint
        assert journal.tasks() == [kept]
        ballast.unlink()
        journal.record_intent(*new())
        assert (journal.counts(), journal.check()) == ({"pending": 2}, "")


def test_a_disk_that_is_full_from_the_start_is_said(disk):
    _fill(disk)
    with Journal(disk / "journal.db") as journal, pytest.raises(StateError, match=r"no space left|cannot be used"):
        journal.tasks()
    assert not (disk / "journal.db").exists()


def test_a_read_only_folder_is_said_with_the_mend(disk, new):
    with Journal(disk / "journal.db") as journal:
        kept = journal.record_intent(*new())
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with Journal(disk / "journal.db") as journal, pytest.raises(StateError, match="cannot be opened") as caught:
        journal.record_intent(*new())
    assert "writable" in caught.value.hint
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    with Journal(disk / "journal.db") as journal:
        assert journal.tasks() == [kept]


def test_a_read_only_folder_without_a_journal_is_said(disk):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with Journal(disk / "journal.db") as journal, pytest.raises(StateError, match="cannot be opened"):
        journal.tasks()


def test_a_file_size_limit_is_an_error_that_loses_nothing(path):
    source = """
import resource, sys
from pathlib import Path
from flow_core.errors import StateError
from flow_core.journal import Journal, NewSubmission, NewTask
def new(number, size):
    return NewTask(f"t{number}", "t", "toy", "here", "x" * size, 1.0), NewSubmission(f"flow-{number}")
with Journal(Path(sys.argv[1])) as journal:
    journal.record_intent(*new(0, 10))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        journal.record_intents([new(number, 4000) for number in range(1, 200)])
    except StateError as error:
        print(error.message)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print([row.id for row in journal.tasks()], journal.check() == "")
"""
    done = subprocess.run([sys.executable, "-c", source, str(path)], capture_output=True, text=True, check=True)
    message, rows = done.stdout.splitlines()
    assert "journal" in message
    assert rows == "['t0'] True"


def test_a_folder_where_the_file_should_be_is_said_and_kept(path):
    path.mkdir(parents=True)
    with Journal(path) as journal, pytest.raises(StateError, match="not a file") as caught:
        journal.tasks()
    assert "move" in caught.value.hint
    assert path.is_dir()


def test_a_file_where_the_folder_should_be_is_said(tmp_path):
    (tmp_path / "state").write_text("mine")
    with Journal(tmp_path / "state" / "journal.db") as journal, pytest.raises(StateError):
        journal.tasks()
    assert (tmp_path / "state").read_text() == "mine"


def test_files_are_0600_in_folders_0700(path, new):
    with Journal(path) as journal:
        journal.record_intent(*new())
        modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in [path.parent, *path.parent.rglob("*")]}
    folders = {name: mode for name, mode in modes.items() if name in ("state", "owners")}
    assert set(folders.values()) == {0o700}
    assert {mode for name, mode in modes.items() if name not in folders} == {0o600}
    assert {"journal.db", "journal.db-wal", "journal.db-shm"} <= set(modes)


def test_a_path_with_odd_characters_works(tmp_path, new):
    with Journal(tmp_path / "a b?c#d%e" / "jour nal?.db") as journal:
        journal.record_intent(*new())
        assert len(journal.tasks()) == 1


def test_a_journal_that_stays_busy_is_a_transient_error(path, new, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: connect(*args, **{**kwargs, "timeout": 0.05}))
    with Journal(path) as journal:
        journal.tasks()
        other = connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TransientError, match="busy") as caught:
            journal.record_intent(*new())
        assert journal.tasks() == []
        other.close()
    assert "fuser" in caught.value.hint


def test_a_writer_waits_for_another_to_finish(path, new):
    with Journal(path) as journal:
        journal.tasks()
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.2, lambda: other.execute("COMMIT"))
        timer.start()
        journal.record_intent(*new())
        timer.join()
        other.close()
        assert len(journal.tasks()) == 1


def test_a_journal_of_an_older_version_is_brought_up_to_date_with_all_it_holds(path, new, monkeypatch):
    with Journal(path) as journal:
        row = journal.record_intent(*new())
    steps = ("ALTER TABLE tasks ADD COLUMN extra TEXT NOT NULL DEFAULT 'x'",), ("CREATE TABLE more (x)",)
    monkeypatch.setattr(_schema, "MIGRATIONS", (*_schema.MIGRATIONS, *steps))
    with Journal(path) as journal:
        assert journal.tasks() == [row]
        assert journal._read(lambda db: db.execute("SELECT extra FROM tasks").fetchall()) == [("x",)]
        assert journal._read(_schema.version_of) == len(_schema.MIGRATIONS)
        assert journal.quarantined is None


def test_a_step_that_fails_leaves_the_older_version_whole(path, new, monkeypatch):
    with Journal(path) as journal:
        row = journal.record_intent(*new())
    steps = ("CREATE TABLE more (x)", "CREATE TABLE more (x)")
    with monkeypatch.context() as patch:
        patch.setattr(_schema, "MIGRATIONS", (*_schema.MIGRATIONS, steps))
        with Journal(path) as journal, pytest.raises(StateError):
            journal.tasks()
    with Journal(path) as journal:
        assert journal.tasks() == [row]


@pytest.mark.parametrize(("kind", "remote"), [("ext4", False), ("nfs4", True), ("fuse.sshfs", True), ("tmpfs", False)])
def test_the_nearest_mount_says_whether_a_folder_is_remote(tmp_path, kind, remote):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        f"2 1 0:9 / {str(tmp_path).replace(' ', chr(92) + '040')} rw shared:1 - {kind} server:/x rw\n"
        "3 1 0:9 / /elsewhere rw - nfs server:/y rw\n"
    )
    assert _file.is_remote(tmp_path / "deep", mounts) is remote


def test_on_a_network_file_system_the_journal_has_no_write_ahead_log(path, new, monkeypatch):
    monkeypatch.setattr(_file, "is_remote", lambda _: True)
    with Journal(path) as journal:
        journal.record_intent(*new())
        assert journal._read(lambda db: db.execute("PRAGMA journal_mode").fetchone()) == ("delete",)
        assert not path.with_name("journal.db-wal").exists()


def test_an_unexpected_fault_of_the_system_is_a_state_error(path, monkeypatch):
    def broken(_path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(_database._file, "connect", broken)
    with pytest.raises(StateError, match="Input/output error"):
        Journal(path).record_intent(NewTask("t1", "t", "toy", "here", "{}", 1.0), NewSubmission("flow-1"))
