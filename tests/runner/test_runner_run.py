"""Ranks in the foreground, the one file that travels, and the commands of a node."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flow_core.runner import archive, command, outcome, record

from .machine import Machine, bundle, until

Runner = Callable[..., "subprocess.CompletedProcess[bytes]"]
OLD_PYTHON = next((p for p in (Path.home() / ".pyenv/versions").glob("3.8.*/bin/python")), None)


class Folder:
    """A task's folder without a machine around it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spawned: list[subprocess.Popen[bytes]] = []

    def stage(self, shell: str | None = None, **keys: Any) -> Folder:
        self.path.mkdir(mode=0o700)
        (self.path / "bundle.json").write_text(json.dumps(bundle("flow-one", shell, **keys)))
        return self

    def spawn(self, *ranks: int, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        argv = command("run", str(self.path), *map(str, ranks))
        found = subprocess.Popen(argv, env={**os.environ, **(env or {})}, stderr=subprocess.PIPE)
        self.spawned.append(found)
        return found

    def code(self, *ranks: int, env: dict[str, str] | None = None) -> int:
        return self.spawn(*ranks, env=env).wait(20)

    def output(self, rank: int = 0, attempt: int = 1) -> bytes:
        return (self.path / f"attempts/{attempt}/{rank}/stdout").read_bytes()

    def ready(self, rank: int = 0) -> None:
        path = self.path / f"attempts/1/{rank}/stdout"
        until("ready", lambda: path.exists() and path.read_bytes().startswith(b"ready\n"))

    def final(self) -> dict[str, Any]:
        found: dict[str, Any] = until("the final report", lambda: record.read_final(str(self.path)))
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    found = Folder(tmp_path / "flow-one")
    yield found
    for process in found.spawned:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


def test_it_exits_with_the_ranks_code(folder: Folder) -> None:
    assert folder.stage("echo hi; exit 7").code(0) == 7
    assert folder.output() == b"hi\n"
    assert folder.final()["state"] == "failed"


def test_an_end_that_only_the_file_dates_is_not_before_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "exit"
    path.write_text("b boot 1000.500000 7.0 here\nx 3\n")
    os.utime(path, (1000.498, 1000.498))  # the clock of a file system is up to a tick behind
    assert record.read_exit(str(path)).ended_at == 1000.5


def test_a_killed_command_gives_128_and_its_signal(folder: Folder) -> None:
    assert folder.stage("kill -9 $$").code(0) == 137


def test_the_rank_can_come_from_the_environment(folder: Folder) -> None:
    folder.stage("echo $RANK", num_instances=1, rank={"source": "env", "names": ["NO_SUCH", "MY_PROCID"]})
    assert folder.code(env={"MY_PROCID": "0"}) == 0
    assert folder.output() == b"0\n"


def test_without_a_rank_it_says_what_is_missing(folder: Folder) -> None:
    process = folder.stage("true", num_instances=2, rank={"source": "env", "names": ["NO_SUCH"]}).spawn()
    assert process.wait(20) == 125
    assert process.stderr is not None
    assert b"NO_SUCH" in process.stderr.read()


def test_two_processes_of_one_rank_start_it_once(folder: Folder) -> None:
    folder.stage("echo ready; sleep 0.4; exit 6")
    both = [folder.spawn(0), folder.spawn(0)]
    assert [process.wait(20) for process in both] == [6, 6]
    assert folder.output() == b"ready\n"


def test_a_rank_that_has_ended_is_not_started_again(folder: Folder) -> None:
    folder.stage("echo ready; exit 6")
    assert [folder.code(0), folder.code(0)] == [6, 6]
    assert folder.output() == b"ready\n"


def test_ranks_in_processes_of_their_own_agree_on_one_place(folder: Folder) -> None:
    folder.stage("echo $RANK $WORLD_SIZE; echo $MASTER_ADDR:$MASTER_PORT >&2", num_instances=3)
    each = [folder.spawn(rank) for rank in (2, 0, 1)]
    assert [process.wait(20) for process in each] == [0, 0, 0]
    assert folder.final()["state"] == "succeeded"
    assert [folder.output(rank) for rank in range(3)] == [b"0 3\n", b"1 3\n", b"2 3\n"]
    assert len({(folder.path / f"attempts/1/{rank}/stderr").read_bytes() for rank in range(3)}) == 1


def test_a_failing_rank_stops_those_of_other_processes(folder: Folder) -> None:
    folder.stage("echo ready; test $RANK = 1 && exit 3; sleep 60", num_instances=2)
    one, other = folder.spawn(0), folder.spawn(1)
    assert (other.wait(20), one.wait(20)) == (3, 143)
    final = folder.final()
    assert (final["state"], final["attempts"][-1]["exit_code"]) == ("failed", 3)
    assert final["attempts"][-1]["nodes"][0]["reason"] == "rank 1 failed with exit code 3; stopped"


def test_all_processes_begin_the_next_attempt_together(folder: Folder) -> None:
    folder.stage("test $FLOW_ATTEMPT.$RANK != 1.0", num_instances=2, retry={"retries": 1, "delay": 0.05})
    each = [folder.spawn(0), folder.spawn(1)]
    assert [process.wait(20) for process in each] == [0, 0]
    assert [a["state"] for a in folder.final()["attempts"]] == ["failed", "succeeded"]


def test_a_stop_from_the_platform_cancels(folder: Folder) -> None:
    process = folder.stage("echo ready; sleep 60").spawn(0)
    folder.ready()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    assert folder.final()["reason"] == "stopped by SIGTERM from the platform"


def preempted(folder: Folder, code: int) -> subprocess.Popen[bytes]:
    line = f"test $FLOW_ATTEMPT = 2 && exit 0; trap 'exit {code}' USR1; echo ready; while :; do sleep 0.05; done"
    limits = {"preempt_signal": "USR1", "grace": 20}
    process = folder.stage(line, preempt={"kind": "signal"}, limits=limits).spawn(0)
    folder.ready()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == code
    return process


def test_a_preempted_attempt_is_followed_by_another_one_where_it_is_run_next(folder: Folder) -> None:
    preempted(folder, 9)
    found = outcome.report(str(folder.path))
    assert (found["state"], [a["state"] for a in found["attempts"]]) == ("pending", ["preempted"])
    assert folder.code(0) == 0
    final = folder.final()
    assert (final["state"], [a["state"] for a in final["attempts"]]) == (
        "succeeded",
        ["preempted", "succeeded"],
    )


def test_an_attempt_that_a_notice_ended_is_not_repeated_before_the_machine_goes_or_stays(
    folder: Folder, tmp_path: Path
) -> None:
    notice = tmp_path / "notice"
    keys = {"preempt": {"kind": "file", "path": str(notice)}, "max_preemptions": 1}
    process = folder.stage("echo ready; test $FLOW_ATTEMPT = 2 || exec sleep 60", **keys).spawn(0)
    folder.ready()
    notice.touch()
    until("the end of the attempt", lambda: outcome.report(str(folder.path))["attempts"][0]["state"] == "preempted")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    report = outcome.report(str(folder.path))
    assert (report["state"], len(report["attempts"])) == ("pending", 1)

    notice.unlink()
    assert process.wait(20) == 0
    assert [attempt["state"] for attempt in folder.final()["attempts"]] == ["preempted", "succeeded"]


def test_a_command_that_ends_well_within_the_notice_has_succeeded(folder: Folder) -> None:
    preempted(folder, 0)
    assert folder.final()["state"] == "succeeded"


def test_no_attempt_begins_while_the_machine_is_about_to_be_taken_back(folder: Folder) -> None:
    notice = folder.path.parent / "notice"
    line = "echo ready; [ $FLOW_ATTEMPT = 2 ] || sleep 60"
    process = folder.stage(line, preempt={"kind": "file", "path": str(notice)}).spawn(0)
    folder.ready()
    notice.touch()
    until("the end of the first attempt", lambda: "preempted" in str(outcome.report(str(folder.path))["attempts"]))
    time.sleep(1.5)  # the next one would have begun long before
    assert len(outcome.report(str(folder.path))["attempts"]) == 1
    notice.unlink()  # it was called off

    assert process.wait(60) == 0
    assert [a["state"] for a in folder.final()["attempts"]] == ["preempted", "succeeded"]


def test_a_rank_that_another_machine_left_without_an_end_is_lost(folder: Folder) -> None:
    folder.stage("true")
    place = folder.path / "attempts/1/0"
    place.mkdir(parents=True)
    (place / "exit").write_text(f"b boot 1.0 1.0 elsewhere\nw {os.getpid()}\n")
    assert folder.code(0) == 125
    assert "elsewhere" in folder.final()["reason"]


def test_a_killed_runner_leaves_the_exit_code_to_the_watcher(folder: Folder) -> None:
    process = folder.stage("echo ready; sleep 0.4; exit 8").spawn(0)
    folder.ready()
    process.kill()
    process.wait()
    until("the end", lambda: outcome.report(str(folder.path))["state"] == "failed")
    assert outcome.report(str(folder.path))["attempts"][-1]["exit_code"] == 8
    assert folder.code(0) == 8


def test_the_archive_is_the_same_each_time() -> None:
    assert archive() == archive()
    names = zipfile.ZipFile(io.BytesIO(archive())).namelist()
    assert "__main__.py" in names
    assert not [name for name in names if "__pycache__" in name]


def pythons() -> list[str]:
    return [sys.executable, *([str(OLD_PYTHON)] if OLD_PYTHON else [])]


@pytest.mark.parametrize("python", pythons())
def test_the_archive_runs_a_task(folder: Folder, tmp_path: Path, python: str) -> None:
    file = tmp_path / "runner.pyz"
    file.write_bytes(archive())
    folder.stage("echo $RANK; sleep 0.3; exit 5", processes_per_node=2)
    done = subprocess.run(
        [python, str(file), "run", str(folder.path), "0"], capture_output=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (5, b"")
    assert sorted(folder.output().split()) == [b"0", b"1"]


@pytest.mark.skipif(OLD_PYTHON is None, reason="no Python 3.8 here")
def test_every_module_compiles_on_python_3_8(tmp_path: Path) -> None:
    file = tmp_path / "runner.pyz"
    file.write_bytes(archive())
    modules = [Path(n).stem for n in zipfile.ZipFile(file).namelist() if n.startswith("runner/") and "__" not in n]
    code = f"import sys; sys.path.insert(0, {str(file)!r})\nimport " + ", ".join(f"runner.{m}" for m in modules)
    done = subprocess.run([str(OLD_PYTHON), "-c", code], capture_output=True, timeout=20, check=False)
    assert done.stderr == b""


def test_the_archive_serves(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "root")
    file = tmp_path / "runner.pyz"
    file.write_bytes(archive())
    task = machine.stage("exit 5")
    python = str(OLD_PYTHON or sys.executable)
    done = subprocess.run([python, str(file), "serve", str(machine.root)], capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert machine.wait(task)["attempts"][-1]["exit_code"] == 5


def test_it_starts_without_the_package_around_it(tmp_path: Path) -> None:
    done = subprocess.run(
        command("status", str(tmp_path / "absent")),
        capture_output=True,
        timeout=20,
        cwd=tmp_path,
        env={},
        check=False,
    )
    assert done.returncode == 2
    assert b"absent" in done.stderr
    assert b"Traceback" not in done.stderr


def test_wrong_usage_is_explained(runner: Runner) -> None:
    for args in ([], ["nonsense", "x"], ["get", "x"]):
        done = runner(*args)
        assert done.returncode == 2
        assert done.stderr.startswith((b"usage:", b"flow: "))


def test_status_cancel_and_signal_from_the_node(folder: Folder, runner: Runner) -> None:
    process = folder.stage("trap 'echo got' USR1; echo ready; while :; do sleep 0.05; done").spawn(0)
    folder.ready()
    assert json.loads(runner("status", folder.path).stdout)["state"] == "running"
    assert runner("signal", folder.path, "USR1").returncode == 0
    until("the signal", lambda: folder.output() == b"ready\ngot\n")
    assert runner("cancel", folder.path, 1).returncode == 0
    assert process.wait(20) == 143
    assert runner("cancel", folder.path).returncode == 1
    assert json.loads(runner("status", folder.path).stdout)["state"] == "cancelled"


def test_exec_has_the_tasks_environment_and_place(folder: Folder, runner: Runner) -> None:
    folder.stage("sleep 1", env={"MINE": "1"}, num_instances=2)
    process = folder.spawn(0, 1)
    until("it runs", lambda: outcome.report(str(folder.path))["state"] == "running")
    done = runner("exec", folder.path, 1, "--", "sh", "-c", "echo $MINE $RANK; pwd; exit 9")
    assert done.returncode == 9
    assert done.stdout.decode().splitlines() == ["1 1", str(folder.path / "work")]
    assert process.wait(20) == 0


def test_get_gives_the_exact_bytes_of_a_file_where_the_command_starts(folder: Folder, runner: Runner) -> None:
    folder.stage("true")
    data = bytes(range(256)) * 5000
    (folder.path / "work" / "sub").mkdir(parents=True)
    (folder.path / "work" / "sub" / "file").write_bytes(data)
    assert runner("path", folder.path, "sub/file").stdout.decode() == f"{folder.path}/work/sub/file\n"
    assert runner("get", folder.path, "sub/file").stdout == data
    assert runner("get", folder.path, "absent").returncode == 2


def test_a_task_that_was_cancelled_before_it_started_does_not_run(folder: Folder, runner: Runner) -> None:
    folder.stage("touch ran")
    assert runner("cancel", folder.path).returncode == 0
    assert runner("run", folder.path, "0").returncode != 0
    assert json.loads(runner("status", folder.path).stdout)["state"] == "cancelled"
    assert not (folder.path / "work" / "ran").exists()
