"""What breaks below a task: its disk, its network, its machine, its key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flow_core.client import Task
from flow_core.types import VolumeSpec, new_request_id
from flow_mithril.testing import Double

from .booted import PATIENCE, Make, begun, bid_status, live_keys, machine, output, until


def act(platform: Double, task: Task, deed: str, **how: Any) -> Any:
    return platform.control("machine", instance=machine(platform, task), do=deed, **how)


def test_a_disk_that_holds_something_else_is_left_alone_and_the_task_fails(platform: Double, booted: Make) -> None:
    flow = booted()
    volume = flow.provider().create_volume(VolumeSpec("odd-disk", size_gb=1, create=True), new_request_id())
    disk = platform.world.machines._volume(volume.id, "Block")  # type: ignore[attr-defined]
    with open(disk, "r+b") as file:
        file.seek(1 << 20)
        file.write(b"somebody's raw data")
    task = flow.submit("true", volumes=[{"name": "odd-disk", "target": "/data"}])
    until(lambda: task.refresh().is_final, "it does not end")

    assert task.status == "failed"
    assert "left alone" in task.reason
    assert bid_status(platform, task) == "Terminated"
    with open(disk, "rb") as file:
        file.seek(1 << 20)
        assert file.read(19) == b"somebody's raw data"
    flow.provider().delete_volume(volume.id)


def test_a_log_is_exact_though_the_connection_is_cut_in_the_middle_of_a_burst(platform: Double, booted: Make) -> None:
    command = "i=0; while [ $i -lt 60000 ]; do echo line $i; i=$((i+1)); done; sleep 3; echo end"
    task = begun(booted().submit(command))
    seen, cut = b"", False
    for chunk in task.logs(follow=True):
        seen += chunk.data
        if not cut:
            cut = True
            act(platform, task, "run", command="pkill -KILL -u ubuntu -x sshd")
    expected = b"".join(b"line %d\n" % number for number in range(60000)) + b"end\n"

    assert seen == expected
    assert task.wait(PATIENCE) == 0


CUT = """\
#!/bin/sh
[ -e {flag} ] && { echo "ssh: connect to host: Network is unreachable" >&2; exit 255; }
exec ssh "$@"
"""


def test_a_follower_that_was_cut_off_gets_the_last_byte_though_another_client_gave_the_machine_back(
    platform: Double, booted: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow, flag, ssh = booted(), tmp_path / "cut", tmp_path / "ssh"
    ssh.write_text(CUT.replace("{flag}", str(flag)))
    ssh.chmod(0o755)
    task = begun(flow.submit("echo one; until [ -e /tmp/go ]; do sleep 0.1; done; echo two"))
    monkeypatch.setenv("FLOW_SSH", str(ssh))
    chunks = task.logs(follow=True)
    assert next(chunks).data == b"one\n"
    flag.touch()
    act(platform, task, "run", command="pkill -KILL -u ubuntu -x sshd; touch /tmp/go")
    words, env = [sys.executable, "-m", "flow_core", "wait", task.id], {**os.environ, "FLOW_SSH": "ssh"}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    assert b"".join(chunk.data for chunk in chunks) == b"two\n"


def test_a_machine_that_does_not_answer_changes_no_state(
    platform: Double, booted: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flow_mithril._provider._LONGEST_LOOK", 3.0)
    task = begun(booted().submit("sleep 5; exit 4"))
    act(platform, task, "freeze")
    task.refresh()
    state = task.row.state
    act(platform, task, "thaw")

    assert state == "running"
    assert task.wait(PATIENCE) == 4


def test_who_waits_outlasts_an_api_that_is_down_for_longer_than_any_call_is_tried(
    platform: Double, booted: Make
) -> None:
    task = begun(booted().submit("echo said; sleep 2; exit 4"))
    before = len(platform.requests)
    platform.control("fault", kind="answer", status=503, times=10**6)
    with subprocess.Popen([sys.executable, "-m", "flow_core", "wait", task.id]) as waiting:
        # One look is given up after six refused calls: this is an outage of several looks.
        until(lambda: len(platform.requests) - before > 12, "nobody asks")
        assert waiting.poll() is None
        with platform.world.lock:
            platform.world.faults.clear()
        assert waiting.wait(PATIENCE) == 4

    assert output(task) == b"said\n"
    assert bid_status(platform, task) == "Terminated"


def test_a_machine_whose_key_was_revoked_switches_itself_off(platform: Double, booted: Make) -> None:
    task = begun(booted(self_release="key", hold="2s").submit("sleep 1"))
    assert live_keys(platform)
    with platform.world.lock:
        for row in platform.world.all("api_keys"):
            if row["name"].endswith("-release"):
                row["deactivated_at"] = row["created_at"]

    until(lambda: not platform.control("machine", instance=machine(platform, task))["alive"], "it is never off")
