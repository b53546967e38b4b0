"""Staging: a task's folder is there whole or not at all, once."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from flow_core.bundle import build
from flow_core.errors import ConfigError, StateError
from flow_core.nodes import stage, sweep
from flow_core.types import ProviderFacts, SecretRef, Submission, TaskConfig, new_request_id

SHARES, APART = ProviderFacts(shares_client_files=True), ProviderFacts()


def submission(cwd: Path, config: TaskConfig, facts: ProviderFacts = SHARES, **more: object) -> Submission:
    request_id = new_request_id()
    bundle = build(
        config,
        task_id="t1",
        request_id=request_id,
        name="n",
        facts=facts,
        secrets={"token": "s3cr3t"},
        cwd=cwd,
        created_at=1.0,
        **more,  # type: ignore[arg-type]
    )
    return Submission(request_id, "t1", "toy", "toy", config, bundle)


def names(root: Path) -> list[str]:
    """What stands in ``root``, but the date of its last sweep."""
    return [path.name for path in root.iterdir() if path.name != ".swept"]


def test_the_folder_has_everything_and_is_the_owners_alone(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "sub").mkdir(parents=True)
    (code / "sub" / "a.py").write_text("1")
    config = TaskConfig(command="x", env={"A": "task"}, secrets=(SecretRef("token"),))
    wish = submission(code, config, APART, files={"bin/tool": b"#!/bin/sh\n"})
    folder = stage(tmp_path / "root", wish, {"A": "provider", "B": "provider"})
    assert folder == tmp_path / "root" / wish.request_id
    assert json.loads((folder / "bundle.json").read_text())["env"] == {"A": "task", "B": "provider"}
    assert (folder / "code" / "sub" / "a.py").read_text() == "1"
    assert json.loads((folder / "secrets").read_text()) == {"token": "s3cr3t"}
    assert os.access(folder / "files" / "bin" / "tool", os.X_OK)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, folder / "bundle.json", folder / "secrets")}
    assert modes == {folder.name: 0o700, "bundle.json": 0o600, "secrets": 0o600}
    assert names(tmp_path / "root") == [folder.name]


def test_a_snapshot_of_nothing_still_has_its_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folder = stage(tmp_path / "root", submission(tmp_path / "empty", TaskConfig(command="x"), APART))
    assert (folder / "code").is_dir()


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    wish = submission(tmp_path, TaskConfig(command="x"))
    folder = stage(tmp_path / "root", wish)
    (folder / "bundle.json").write_text("theirs")
    assert stage(tmp_path / "root", wish) == folder
    assert (folder / "bundle.json").read_text() == "theirs"


def _stage(root: Path, wish: Submission, start: int) -> None:
    os.read(start, 1)
    stage(root, wish)


def test_processes_that_stage_at_once_make_one_folder(tmp_path: Path) -> None:
    wish = submission(tmp_path, TaskConfig(command="x"))
    start, go = os.pipe()
    fork = multiprocessing.get_context("fork")
    racers = [fork.Process(target=_stage, args=(tmp_path / "root", wish, start)) for _ in range(6)]
    for racer in racers:
        racer.start()
    os.write(go, b"." * len(racers))
    for racer in racers:
        racer.join(20)
    os.close(start)
    os.close(go)
    assert [racer.exitcode for racer in racers] == [0] * len(racers)
    assert names(tmp_path / "root") == [wish.request_id]


def test_what_a_dead_process_had_begun_is_made_anew(tmp_path: Path) -> None:
    wish = submission(tmp_path, TaskConfig(command="x"))
    begun = tmp_path / "root" / f".{wish.request_id}.new"
    begun.mkdir(parents=True)
    (begun / "bundle.json").write_text("torn")
    folder = stage(tmp_path / "root", wish)
    assert json.loads((folder / "bundle.json").read_text())["task_id"] == "t1"
    assert not begun.exists()


KILLED_WHILE_STAGING = """
import os, signal, sys
from pathlib import Path
from flow_core.bundle import _copy
from flow_core.nodes import _stage
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
_copy.copy_files = die
folder = Path(sys.argv[1]) / sys.argv[2]
with _stage._claimed(folder) as claim:
    from flow_core.types import Bundle
    _stage._make(folder, claim, Bundle({}, code="/"))
"""


def test_sweep_removes_what_killed_processes_had_begun_only(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_STAGING, tmp_path, "flow-dead"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / ".flow-dead.new").is_dir()
    (tmp_path / ".flow-empty.new").mkdir()  # its process was killed before it had a claim
    (tmp_path / ".flow-live.new").mkdir()
    with open(tmp_path / ".flow-live.new" / "bundle.json", "w") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        assert sweep(tmp_path) == ["flow-dead", "flow-empty"]
    assert os.listdir(tmp_path) == [".flow-live.new"]


@pytest.mark.parametrize("name", ["../out", "/etc/out", ".", ""])
def test_files_stay_inside_the_folder(tmp_path: Path, name: str) -> None:
    wish = submission(tmp_path, TaskConfig(command="x"), files={name: b""})
    with pytest.raises(ConfigError, match="not a path inside"):
        stage(tmp_path / "root", wish)
    assert names(tmp_path / "root") == []


def test_a_root_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file")
    with pytest.raises(StateError, match=r"cannot make the task's folder in .*root"):
        stage(tmp_path / "root", submission(tmp_path, TaskConfig(command="x")))


def test_a_failed_copy_leaves_nothing(tmp_path: Path) -> None:
    wish = submission(tmp_path, TaskConfig(command="x"))
    broken = attrs.evolve(wish, bundle=attrs.evolve(wish.bundle, code=str(tmp_path), code_files=("x" * 300,)))
    with pytest.raises(StateError, match="File name too long"):
        stage(tmp_path / "root", broken)
    assert names(tmp_path / "root") == []


def test_staging_removes_what_others_had_begun_too(tmp_path: Path) -> None:
    (tmp_path / ".flow-dead.new").mkdir()
    wish = submission(tmp_path, TaskConfig(command="x"))
    stage(tmp_path, wish)
    assert names(tmp_path) == [wish.request_id]


@pytest.mark.parametrize("command", ["echo $0 $1", ("sh", "-c", "echo $0 $1")])
def test_a_prefix_stands_before_the_command(tmp_path: Path, command: str | tuple[str, ...]) -> None:
    wanted = submission(tmp_path, TaskConfig(command=command))
    folder = stage(tmp_path / "root", wanted, prefix=("env", "-i"))
    argv = json.loads((folder / "bundle.json").read_text())["command"]["argv"]
    assert argv[:2] == ["env", "-i"]
    assert argv[3:] == ["-c", "echo $0 $1"]
