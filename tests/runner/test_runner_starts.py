"""A platform that starts a task again by itself: each of its starts is an attempt, and what it ends is preempted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flow_core import TaskReport, nodes
from flow_core.runner import command, record, starts as begun

from .machine import bundle, until

PREEMPT = {"kind": "signal"}


class Starts:
    """A task that its platform starts as often as it likes; ``run`` names a start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._going: list[subprocess.Popen[bytes]] = []

    def stage(self, shell: str, **keys: Any) -> Starts:
        self.folder.mkdir(mode=0o700)
        (self.folder / "bundle.json").write_text(json.dumps(bundle("flow-one", shell, preempt=PREEMPT, **keys)))
        return self

    def start(self, run: str, rank: int = 0, **env: str) -> subprocess.Popen[bytes]:
        argv = command("run", str(self.folder), str(rank))
        found = subprocess.Popen(argv, env={**os.environ, **env, "FLOW_RUNNER_RUN": run}, start_new_session=True)
        self._going.append(found)
        return found

    def said(self, attempt: int = 1, rank: int = 0) -> bytes:
        path = self.folder / f"attempts/{attempt}/{rank}/stdout"
        return path.read_bytes() if path.exists() else b""

    def states(self) -> list[str]:
        return [attempt.state for attempt in nodes.report(self.folder).attempts]

    def command_of(self, rank: int = 0) -> int:
        path = str(self.folder / f"attempts/1/{rank}/exit")
        return until("the command's pid", lambda: record.read_exit(path).task)[0]  # type: ignore[no-any-return]

    def stop(self) -> None:
        for process in self._going:
            process.kill()
            process.wait()


@pytest.fixture
def starts(tmp_path: Path) -> Iterator[Starts]:
    found = Starts(tmp_path / "flow-one")
    yield found
    found.stop()


def kill(starts: Starts, runner: subprocess.Popen[bytes], rank: int = 0) -> None:
    """End a rank as a machine does that is switched off: all at once, with no word."""
    found = record.read_exit(str(starts.folder / f"attempts/1/{rank}/exit"))
    pids = [runner.pid, found.watcher or 0, starts.command_of(rank)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    runner.wait()


def test_what_an_earlier_start_left_without_an_end_is_preempted_and_the_next_attempt_begins(starts: Starts) -> None:
    first = starts.stage('echo up; test "$FLOW_ATTEMPT" = 2 || sleep 60').start("1.0")
    until("it runs", lambda: starts.said() == b"up\n")
    kill(starts, first)
    assert starts.start("1.1").wait(20) == 0
    assert starts.states() == ["preempted", "succeeded"]
    assert (starts.said(1), starts.said(2)) == (b"up\n", b"up\n")


def test_a_rank_that_comes_late_does_not_end_the_attempt_that_the_others_have_begun(starts: Starts) -> None:
    starts.stage("echo up; test $FLOW_ATTEMPT = 2 || sleep 60", num_instances=2)
    first = [starts.start("1.0", rank) for rank in (0, 1)]
    until("both run", lambda: starts.said(1, 0) == starts.said(1, 1) == b"up\n")
    for rank, runner in enumerate(first):
        kill(starts, runner, rank)
    early = starts.start("1.1", 0)
    time.sleep(0.5)
    late = starts.start("1.1", 1)
    assert (early.wait(20), late.wait(20)) == (0, 0)
    assert starts.states() == ["preempted", "succeeded"]


def test_the_same_start_takes_a_command_over_that_runs(starts: Starts) -> None:
    starts.stage("echo up; sleep 1; exit 5").start("1.0")
    until("it runs", lambda: starts.said() == b"up\n")
    assert starts.start("1.0").wait(20) == 5
    assert starts.said() == b"up\n"


def test_a_command_that_the_platform_signals_before_its_runner_is_preempted(starts: Starts) -> None:
    runner = starts.stage("echo up; exec sleep 60").start("1.0")
    until("it runs", lambda: starts.said() == b"up\n")
    os.kill(starts.command_of(), signal.SIGTERM)
    time.sleep(0.05)
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(20) == 143
    assert starts.states() == ["preempted"]
    assert not (starts.folder / "final.json").exists()


def test_a_rank_whose_platform_has_not_told_it_yet_begins_no_attempt_in_the_old_start(starts: Starts) -> None:
    starts.stage("echo up; exec sleep 60", num_instances=2)
    told, untold = starts.start("one", rank=1), starts.start("one", rank=0)
    for rank in (0, 1):
        until("it runs", lambda rank=rank: starts.said(rank=rank))  # type: ignore[misc]
    told.terminate()
    until("all have left", lambda: told.poll() is not None and untold.poll() is not None)
    assert (starts.states(), (starts.folder / "attempts/2").exists()) == (["preempted"], False)


def test_a_command_that_is_ended_by_somebody_else_has_failed(starts: Starts) -> None:
    runner = starts.stage("echo up; exec sleep 60").start("1.0")
    until("it runs", lambda: starts.said() == b"up\n")
    os.kill(starts.command_of(), signal.SIGTERM)
    assert runner.wait(20) == 143
    assert nodes.report(starts.folder).state == "failed"


def test_the_users_signals_are_passed_on(starts: Starts) -> None:
    runner = starts.stage("trap 'echo told; exit 3' USR1; echo up; while :; do sleep 0.05; done").start("1.0")
    until("it runs", lambda: starts.said() == b"up\n")
    starts.command_of()
    runner.send_signal(signal.SIGUSR1)
    assert runner.wait(20) == 3
    assert starts.said() == b"up\ntold\n"


def test_variables_are_passed_by_name_and_by_how_they_begin(starts: Starts) -> None:
    starts.stage('echo "$ONE ${SLOT_A-} ${OTHER-none}"', env_pass=["ONE", "SLOT*"])
    assert starts.start("1.0", ONE="1", SLOT_A="a", OTHER="x").wait(20) == 0
    assert starts.said() == b"1 a none\n"


def test_an_end_that_no_runner_saw_is_kept_once_and_the_secrets_go(starts: Starts) -> None:
    starts.stage("true")
    (starts.folder / "secrets").write_text("{}")
    nodes.conclude(starts.folder, TaskReport("cancelled", "by the platform"))
    nodes.conclude(starts.folder, TaskReport("failed", "too late"))
    found = nodes.report(starts.folder)
    assert (found.state, found.reason) == ("cancelled", "by the platform")
    assert not (starts.folder / "secrets").exists()


def test_many_reports_are_told_in_one_call(starts: Starts) -> None:
    starts.stage("true")
    argv = command("reports", str(starts.folder), str(starts.folder / "none"))
    first, second = subprocess.run(argv, capture_output=True, check=True).stdout.splitlines()
    assert (json.loads(first)["state"], json.loads(second)) == ("pending", None)


def test_no_rank_sees_an_attempt_without_the_start_that_it_is_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOW_RUNNER_RUN", "7.0")
    write, seen = record.create_json, []

    def watched(path: str, doc: record.Doc) -> bool:
        seen.extend((number, begun.is_of_this(str(tmp_path), number)) for number in record.attempts(str(tmp_path)))
        return write(path, doc)

    monkeypatch.setattr(begun, "create_json", watched)
    begun.note(str(tmp_path), 1)
    begun.note(str(tmp_path), 1)
    assert set(seen) == {(1, True)}
    assert os.listdir(tmp_path / "attempts") == ["1"]
