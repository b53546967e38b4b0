"""Snapshots that share what they hold: with the folder, and with each other."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from flow_core.bundle import Progress, copy, select, shown

BIG = 20 << 20


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder on another file system than ``sharing``, not changed lately."""
    root = tmp_path / "code"
    root.mkdir()
    (root / "model").write_bytes(os.urandom(BIG))
    (root / "train.py").write_text("print(1)")
    return root


def settle(folder: Path) -> None:
    """Wait until the files were changed so long ago that their times can be trusted."""
    while any(time.time() - path.stat().st_ctime < 2.05 for path in folder.iterdir()):
        time.sleep(0.05)


def used(folder: Path) -> int:
    subprocess.run(["sync", "-f", str(folder)], check=True)
    out = subprocess.run(["df", "--output=used", "-B1", str(folder)], capture_output=True, text=True, check=True)
    return int(out.stdout.split()[1])


@pytest.fixture
def place(sharing: Path, tmp_path: Path) -> Path:
    folder = sharing / tmp_path.name
    folder.mkdir()
    return folder


def test_two_snapshots_of_a_tree_share_their_bytes(code: Path, place: Path) -> None:
    copy(select(code), place / "one", place / ".blobs")
    before = used(place)
    copy(select(code), place / "two", place / ".blobs")

    assert (place / "two/model").read_bytes() == (code / "model").read_bytes()
    assert used(place) - before < BIG / 4


def test_an_unchanged_file_is_not_read_again(code: Path, place: Path) -> None:
    settle(code)
    copy(select(code), place / "one", place / ".blobs")
    read = _read_bytes()
    copy(select(code), place / "two", place / ".blobs")

    assert _read_bytes() - read < BIG / 4
    assert (place / "two/train.py").read_text() == "print(1)"


def _read_bytes() -> int:
    (line,) = [line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("rchar")]
    return int(line.split()[1])


def test_a_changed_file_is_seen(code: Path, place: Path) -> None:
    settle(code)
    copy(select(code), place / "one", place / ".blobs")
    before = (code / "train.py").stat()
    (code / "train.py").write_text("print(2)")
    os.utime(code / "train.py", ns=(before.st_atime_ns, before.st_mtime_ns))  # size and time are as before
    copy(select(code), place / "two", place / ".blobs")

    assert (place / "two/train.py").read_text() == "print(2)"
    assert (place / "one/train.py").read_text() == "print(1)"


def test_what_a_task_writes_reaches_neither_the_next_one_nor_the_folder(code: Path, place: Path) -> None:
    settle(code)
    for name in ("one", "two"):
        copy(select(code), place / name, place / ".blobs")
        with (place / name / "train.py").open("a") as file:
            file.write("mine")
    copy(select(code), place / "three", place / ".blobs")

    assert (place / "three/train.py").read_text() == "print(1)"
    assert (code / "train.py").read_text() == "print(1)"


def test_a_content_that_a_power_cut_has_shortened_is_not_used(code: Path, place: Path) -> None:
    settle(code)
    copy(select(code), place / "one", place / ".blobs")
    for path in (place / ".blobs").glob("??/*"):
        path.chmod(0o600)
        os.truncate(path, 3)
    copy(select(code), place / "two", place / ".blobs")

    assert (place / "two/train.py").read_text() == "print(1)"


def test_on_one_file_system_bytes_are_shared_with_the_folder_itself(place: Path) -> None:
    (place / "code").mkdir()
    (place / "code/model").write_bytes(os.urandom(BIG))
    before = used(place)
    copy(select(place / "code"), place / "one", place / ".blobs")

    assert used(place) - before < BIG / 4
    assert not (place / ".blobs").exists()


def test_nothing_is_kept_where_blocks_cannot_be_shared(code: Path, tmp_path: Path) -> None:
    copy(select(code), tmp_path / "one", tmp_path / ".blobs")

    assert (tmp_path / "one/model").read_bytes() == (code / "model").read_bytes()
    assert not (tmp_path / ".blobs").exists()


def test_holes_stay_holes(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    with (tmp_path / "code/disk").open("wb") as file:
        file.write(b"start")
        file.seek(1 << 30)
        file.write(b"middle")
        file.truncate(10 << 30)
    copy(select(tmp_path / "code"), tmp_path / "one")

    copied = tmp_path / "one/disk"
    assert copied.stat().st_size == 10 << 30
    assert copied.stat().st_blocks * 512 < 1 << 20
    with copied.open("rb") as file:
        assert file.read(5) == b"start"
        file.seek(1 << 30)
        assert file.read(6) == b"middle"


def test_a_listener_is_told_how_far_it_is_and_can_end_it(code: Path, tmp_path: Path) -> None:
    for number in range(30_000):
        (code / f"{number}.txt").write_text("x")
    said: list[Progress] = []

    def stop(progress: Progress) -> None:
        said.append(progress)
        raise KeyboardInterrupt

    selection = select(code)
    with shown(stop), pytest.raises(KeyboardInterrupt):
        copy(selection, tmp_path / "to")
    assert said[-1].of_files == 30_002
    assert 0 < said[-1].files < 30_002
