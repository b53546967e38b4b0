"""What lies below the state folder goes when nobody needs it any more."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from flow_core.types import new_request_id
from flow_mithril._records import Records

MONTH, DAY = 30 * 86400.0, 86400.0


def old(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def fetched(records: Records, age: float) -> str:
    request = new_request_id()
    records.change(request, fid="bid_x" + request[-4:])
    folder = records.kept(request)
    folder.mkdir(parents=True)
    (folder / "final.json").write_text("{}")
    for path in (folder / "final.json", folder):
        old(path, age)
    return request


def test_what_was_fetched_stays_its_time_and_then_goes(tmp_path: Path) -> None:
    records = Records(tmp_path)
    late, early = fetched(records, MONTH + DAY), fetched(records, MONTH - DAY)
    records.sweep(MONTH)

    assert not records.kept(late).exists()
    assert (records.kept(early) / "final.json").exists()


def test_what_is_fetched_just_now_is_left_though_it_is_not_whole(tmp_path: Path) -> None:
    records = Records(tmp_path)
    request = fetched(records, 0.0)
    (records.kept(request) / "final.json").unlink()
    records.sweep(MONTH)

    assert records.kept(request).exists()


def test_idle_locks_go_and_one_that_is_held_stays(tmp_path: Path) -> None:
    records = Records(tmp_path)
    with records.alone("idle"):
        pass
    with records.alone("held"):
        for name in ("idle", "held"):
            old(tmp_path / "locks" / name, DAY)
        records.sweep(MONTH)
        assert [path.name for path in (tmp_path / "locks").iterdir()] == ["held"]


def test_whoever_waits_for_a_lock_that_is_removed_is_alone_all_the_same(tmp_path: Path) -> None:
    records, inside, most = Records(tmp_path), [], []

    def work() -> None:
        for _ in range(200):
            with records.alone("one"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()
                (tmp_path / "locks" / "one").unlink()  # the last thing that is done under it, as the sweep does

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) == 800


def test_it_is_swept_hourly_and_not_each_time(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.sweep(MONTH)
    request = fetched(records, MONTH + DAY)
    records.sweep(MONTH)
    assert records.kept(request).exists()
    old(tmp_path / "swept", DAY)
    records.sweep(MONTH)
    assert not records.kept(request).exists()


def test_a_lock_that_is_had_is_said_at_once_to_one_who_does_not_wait(tmp_path: Path) -> None:
    records = Records(tmp_path)
    with records.alone("one"), pytest.raises(BlockingIOError), records.alone("one", wait=False):
        pass
