"""A full disk stops nothing that runs, and what it stops is said."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from flow_core import Flow
from flow_core.errors import StateError


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "flow-test", str(folder)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    monkeypatch.setenv("FLOW_HOME", str(folder / "home"))
    monkeypatch.chdir(tmp_path)
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


def test_submitting_is_refused_and_works_again_when_there_is_room(disk: Path) -> None:
    flow = Flow()
    assert flow.run("true", stream=False).exit_code == 0
    ballast = _fill(disk)
    with pytest.raises(StateError, match="no space left"):
        flow.submit("true", env={"FILL": "x" * 100_000})
    ballast.unlink()
    assert flow.run("exit 4", stream=False).exit_code == 4
    flow.refresh()
    assert {task.status for task in flow.tasks(limit=None) if task.row.ref} <= {"succeeded", "failed"}


def test_a_task_whose_log_fills_the_disk_ends_and_who_waits_is_told(disk: Path) -> None:
    flow = Flow()
    task = flow.submit("head -c 20000000 /dev/zero; exit 5")
    with suppress(StateError):  # the end is known, but there may be no room to write it down
        assert task.wait(timeout=30) == 5
    for log in disk.glob("home/state/local/**/attempts/1/0/stdout"):
        os.truncate(log, 0)
    assert task.wait(timeout=30) == 5


def test_what_a_provider_accepted_is_said_to_be_there_though_it_cannot_be_recorded(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flow_core.journal import Journal

    def full(*_: object) -> None:
        raise StateError("there is no space left to write the journal", "free some space")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "mark_accepted_all", full)
        with pytest.raises(StateError, match=r"t\w+ was submitted to local, but this is not recorded") as caught:
            flow.submit("exit 6")

    task_id = caught.value.details["task_id"]
    assert "do not submit it again" in caught.value.hint
    after = Flow()
    after.refresh()
    assert after.task(str(task_id)).wait(timeout=30) == 6


def test_a_state_folder_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.write_text("a file, where a folder should be")
    monkeypatch.setenv("FLOW_HOME", str(home))
    with pytest.raises(StateError, match=r"journal\.db"):
        Flow(tmp_path).submit("true")
