"""Killed at each step of a task's life, who runs it is followed by one that goes on there: nothing twice, nothing left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flow_core.runner import record

from .machine import DEADLINE, Machine, until

_DYING = """
import os, signal, sys
from flow_core.runner import control, run, serve, starts, task, upload, uploads, watcher

def die_in(place, name, turn=1):
    whole, turns = getattr(place, name), []
    def die(*arguments, **named):
        turns.append(name)
        if len(turns) == turn:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments, **named)
    setattr(place, name, die)

die_in({place})
serve.serve(sys.argv[1]) if len(sys.argv) == 2 else run.run(sys.argv[1], [int(sys.argv[2])])
"""

BEGINNING = {
    "before anything of it is there": 'serve.Server, "_start"',
    "its exit record is begun, no watcher": 'watcher, "_spawn"',
    "its watcher is started": 'task.Task, "_attend"',
}
BETWEEN = {
    "one attempt has ended": 'task.Task, "_rest"',
    "the next one is to begin": 'starts, "note", 2',
    "the next one has a folder": 'watcher, "start", 2',
}
ENDING = {
    "its end is seen": 'task.Task, "_close"',
    "before its tickets are kept": 'task, "take_tickets"',
    "before its secrets are removed": 'task, "remove_secrets"',
    "before its end is written": 'task, "create_json"',
    "its end is written": 'control, "acknowledge"',
}
UPLOADING = {
    "before anything is sent": 'upload.Upload, "_send"',
    "something is sent": 'upload.Upload, "_note"',
    "all but the last word is sent": 'upload, "write_json", 2',
    "all is sent": 'upload.Upload, "_note", 2',
}
SERVED = {
    "before its upload is noted": 'uploads.Uploads, "note"',
    "before it is put away": 'serve.Server, "_move"',
    "it is put away": 'uploads.Uploads, "_start"',
    "its upload has ended": 'uploads.Uploads, "_forget"',
}


def named(places: dict[str, str]) -> list[object]:
    return [pytest.param(place, id=what) for what, place in places.items()]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOW_RUNNER_WITHOUT", "guardian")


def dies(place: str, *args: object) -> None:
    """Serve a root, or run a rank of a folder, in a process that kills itself in ``place``."""
    argv = [sys.executable, "-c", _DYING.format(place=place), *map(str, args)]
    done = subprocess.run(argv, check=False, timeout=DEADLINE, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def staged(machine: Machine, shell: str, store: Path, **keys: object) -> str:
    tickets = {
        "blobs": {"method": "PATH", "url": str(store / "blobs")},
        "final": {"method": "PATH", "url": str(store / "final.json")},
    }
    given = {"TOKEN": "sesame", "flow.tickets": json.dumps(tickets)}
    names = {"names": {"TOKEN": "TOKEN"}}
    return machine.stage(shell, secrets=given, bundle_secrets=names, keep={"wait": 60}, **keys)


@pytest.mark.parametrize("place", named({**BEGINNING, **ENDING, **SERVED}))
def test_a_task_runs_once_and_its_end_is_whole(machine: Machine, tmp_path: Path, place: str) -> None:
    task = staged(machine, f'echo said; echo "$TOKEN" >> {tmp_path}/ran; exit 3', tmp_path / "store")
    dies(place, machine.root)

    machine.serve()

    found = machine.wait(task)
    assert (found["state"], [one["exit_code"] for one in found["attempts"]]) == ("failed", [3])
    assert (tmp_path / "ran").read_text() == "sesame\n"
    assert_nothing_is_left(machine, task, tmp_path / "store")


@pytest.mark.parametrize("place", named(BETWEEN))
def test_each_attempt_is_made_once(machine: Machine, tmp_path: Path, place: str) -> None:
    retry = {"retries": 1, "delay": 0.01}
    task = staged(machine, f'echo "$TOKEN" $FLOW_ATTEMPT >> {tmp_path}/ran; exit 4', tmp_path / "store", retry=retry)
    dies(place, machine.root)

    machine.serve()

    assert [one["exit_code"] for one in machine.wait(task)["attempts"]] == [4, 4]
    assert (tmp_path / "ran").read_text() == "sesame 1\nsesame 2\n"
    assert_nothing_is_left(machine, task, tmp_path / "store")


@pytest.mark.parametrize("place", named({**dict([*BEGINNING.items()][1:]), **ENDING, **UPLOADING}))
def test_a_task_that_is_run_in_the_foreground_runs_once_and_its_end_is_whole(
    machine: Machine, runner: Callable[..., subprocess.CompletedProcess[bytes]], tmp_path: Path, place: str
) -> None:
    task = staged(machine, f'echo said; echo "$TOKEN" >> {tmp_path}/ran; exit 3', tmp_path / "store")
    folder = machine.folder(task)
    dies(place, folder, 0)

    assert runner("run", folder, 0).returncode == 3

    assert (tmp_path / "ran").read_text() == "sesame\n"
    assert_all_is_kept(folder, tmp_path / "store")


def assert_nothing_is_left(machine: Machine, task: str, store: Path) -> None:
    """Its folder is where ended tasks are, its results are in their store, and no secret of it is anywhere."""
    place = Path(record.done_dir(str(machine.root), task))
    until("its upload is done", lambda: place.is_dir() and not (place / "tickets.json").exists())
    until(
        "nothing is to be done", lambda: not os.listdir(machine.root / "tasks") + os.listdir(machine.root / "uploads")
    )
    assert_all_is_kept(place, store)


def assert_all_is_kept(place: Path, store: Path) -> None:
    assert json.loads((store / "final.json").read_text())["report"]["state"] == "failed"
    assert not (place / "tickets.json").exists()
    assert [path for path in place.rglob("*") if path.is_file() and b"sesame" in path.read_bytes()] == []
