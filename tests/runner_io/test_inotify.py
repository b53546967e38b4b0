"""A watcher tells what changed, at once where the kernel tells it and soon where it must look."""

import os
import resource
import subprocess
import threading
import time
from pathlib import Path

import pytest

from flow_core.runner.inotify import Watcher

MODES = [False, True]


@pytest.fixture(params=MODES, ids=["inotify", "poll"])
def watcher(request):
    with Watcher(poll=request.param) as watcher:
        assert watcher.polling == request.param
        yield watcher


def test_a_written_file_is_told(watcher, tmp_path):
    file = tmp_path / "log"
    file.write_bytes(b"")
    handle = watcher.add(file)
    file.write_bytes(b"line\n")
    assert watcher.wait(5) == {handle}


def test_a_new_entry_of_a_directory_is_told(watcher, tmp_path):
    handle = watcher.add(tmp_path)
    (tmp_path / "new").mkdir()
    assert watcher.wait(5) == {handle}


def test_an_entry_renamed_into_a_directory_is_told(watcher, tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "file").touch()
    handle = watcher.add(tmp_path / "to")
    (tmp_path / "file").rename(tmp_path / "to" / "file")
    assert watcher.wait(5) == {handle}


def test_a_directory_is_followed_by_its_descriptor_when_it_is_renamed(watcher, tmp_path):
    (tmp_path / "old").mkdir()
    fd = os.open(tmp_path / "old", os.O_RDONLY)
    try:
        handle = watcher.add(fd)
        (tmp_path / "old").rename(tmp_path / "new")
        assert watcher.wait(0) == set()
        (tmp_path / "new" / "entry").touch()
        assert watcher.wait(5) == {handle}
    finally:
        os.close(fd)


def test_a_path_is_found_below_a_descriptor(watcher, tmp_path):
    (tmp_path / "log").touch()
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        handle = watcher.add("log", dir_fd=fd)
        (tmp_path / "log").write_bytes(b"x")
        assert watcher.wait(5) == {handle}
    finally:
        os.close(fd)


def test_what_did_not_change_is_not_told(watcher, tmp_path):
    for name in ("quiet", "loud"):
        (tmp_path / name).touch()
    watcher.add(tmp_path / "quiet")
    loud = watcher.add(tmp_path / "loud")
    (tmp_path / "loud").write_bytes(b"x")
    assert watcher.wait(5) == {loud}


def test_a_wait_without_change_ends_at_its_time(watcher, tmp_path):
    watcher.add(tmp_path)
    began = time.monotonic()
    assert watcher.wait(0.2) == set()
    assert 0.2 <= time.monotonic() - began < 1


def test_a_removed_watch_is_silent(watcher, tmp_path):
    handle = watcher.add(tmp_path)
    watcher.remove(handle)
    (tmp_path / "new").touch()
    assert watcher.wait(0.1) == set()


def test_the_same_file_has_one_handle(watcher, tmp_path):
    assert watcher.add(tmp_path) == watcher.add(tmp_path)


def test_two_files_have_two_handles_after_one_was_removed(watcher, tmp_path):
    first, second, third = (tmp_path / name for name in "abc")
    for file in (first, second, third):
        file.touch()
    gone, kept = watcher.add(first), watcher.add(second)
    watcher.remove(gone)
    assert watcher.add(third) != kept


def test_a_missing_file_is_an_error(watcher, tmp_path):
    with pytest.raises(FileNotFoundError):
        watcher.add(tmp_path / "none")


def test_a_removed_file_is_told(watcher, tmp_path):
    (tmp_path / "log").touch()
    handle = watcher.add(tmp_path / "log")
    (tmp_path / "log").unlink()
    assert watcher.wait(5) == {handle}


def test_a_write_wakes_a_waiter(watcher, tmp_path):
    (tmp_path / "log").touch()
    handle = watcher.add(tmp_path / "log")
    writer = threading.Timer(0.05, (tmp_path / "log").write_bytes, [b"x"])
    writer.start()
    assert watcher.wait(None) == {handle}
    writer.join()


def test_inotify_costs_no_wake_up_while_nothing_changes(tmp_path):
    with Watcher() as watcher:
        watcher.add(tmp_path)
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        watcher.wait(0.5)
        assert resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before <= 2


def test_a_poll_looks_less_often_while_nothing_changes(tmp_path):
    with Watcher(poll=True) as watcher:
        watcher.add(tmp_path)
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        watcher.wait(2)
        assert 2 <= resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before <= 12


def test_the_descriptor_is_readable_when_something_changed(tmp_path):
    import select

    with Watcher() as watcher:
        watcher.add(tmp_path)
        assert not select.select([watcher], [], [], 0)[0]
        (tmp_path / "new").touch()
        assert select.select([watcher], [], [], 5)[0]


def test_a_polling_watcher_has_no_descriptor():
    with Watcher(poll=True) as watcher, pytest.raises(OSError, match="wait"):
        watcher.fileno()


def test_many_watchers_in_turn_hold_few_descriptors(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        several = [Watcher() for _ in range(5)]
        for watcher in several:
            watcher.add(tmp_path)
        for watcher in several:
            watcher.close()
            watcher.close()
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_a_watcher_hears_nothing_of_what_an_earlier_one_watched(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    with Watcher() as first:
        first.add(tmp_path / "old")
        (tmp_path / "old" / "x").touch()
    with Watcher() as second:
        handle = second.add(tmp_path / "new")
        (tmp_path / "old" / "y").touch()
        assert second.wait(0.05) == frozenset()
        (tmp_path / "new" / "z").touch()
        assert second.wait(5) == {handle}


def test_when_the_user_has_no_more_inotify_instances_it_polls(tmp_path):
    limit = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    if limit > 4096:
        pytest.skip("more inotify instances than this test wants to open")
    taken = []
    try:
        while not taken or not taken[-1].polling:
            taken.append(Watcher())
            assert len(taken) <= limit + 1
        handle = taken[-1].add(tmp_path)
        (tmp_path / "new").touch()
        assert taken[-1].wait(5) == {handle}
    finally:
        for watcher in taken:
            watcher.close()


def test_files_that_inotify_has_no_room_for_are_polled_beside_the_others(tmp_path, monkeypatch):
    from flow_core.runner import inotify

    for name in ("served", "refused"):
        (tmp_path / name).touch()
    real = inotify._add_watch

    def limited(fd, path, mask):
        return None if "refused" in str(path) else real(fd, path, mask)

    monkeypatch.setattr(inotify, "_add_watch", limited)
    with Watcher() as watcher:
        served, refused = watcher.add(tmp_path / "served"), watcher.add(tmp_path / "refused")
        assert watcher.polling
        (tmp_path / "refused").write_bytes(b"x")
        assert watcher.wait(5) == {refused}
        (tmp_path / "served").write_bytes(b"x")
        assert watcher.wait(5) == {served}


def test_a_full_queue_tells_of_everything(tmp_path):
    with Watcher() as watcher:
        files = [tmp_path / str(number) for number in range(2)]
        for file in files:
            file.touch()
        handles = {watcher.add(file) for file in files}
        quiet = watcher.add(tmp_path)
        fds = [os.open(file, os.O_WRONLY | os.O_APPEND) for file in files]
        for _ in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text()) // 2 + 10):
            for fd in fds:  # in turn, for the kernel merges equal neighbours
                os.write(fd, b"x")
        for fd in fds:
            os.close(fd)
        told = set()
        while more := watcher.wait(0):
            told |= more
        assert told == handles | {quiet}


def test_a_network_file_system_is_polled(tmp_path, monkeypatch):
    from flow_core.runner import inotify

    kind = subprocess.run(["stat", "-f", "-c", "%t", tmp_path], capture_output=True, text=True, check=True).stdout
    with Watcher() as watcher:
        watcher.add(tmp_path)
        assert not watcher.polling
        monkeypatch.setattr(inotify, "_REMOTE", frozenset({int(kind, 16)}))
        (tmp_path / "log").touch()
        handle = watcher.add(tmp_path / "log")
        assert watcher.polling
        (tmp_path / "log").write_bytes(b"x")
        assert handle in watcher.wait(5)
