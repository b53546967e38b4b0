"""Tasks on this machine: real processes, exact logs and exit codes, seen by any process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from flow_core import ConfigError, Flow, LogCursor, TaskFailed


def output(task: object, stream: str = "stdout", rank: int | None = None) -> bytes:
    return b"".join(
        chunk.data
        for chunk in task.logs(follow=True)  # type: ignore[attr-defined]
        if chunk.stream == stream and rank in (None, chunk.rank)
    )


@pytest.mark.parametrize("code", [0, 1, 7, 127, 255])
def test_the_exit_code_is_the_commands(flow: Flow, code: int) -> None:
    assert flow.submit(f"exit {code}").wait() == code


def test_a_signal_is_128_and_its_number(flow: Flow) -> None:
    task = flow.submit("kill -9 $$")

    assert task.wait() == 137
    assert "SIGKILL" in task.reason or "137" in task.reason


def test_the_streams_are_kept_apart_byte_for_byte(flow: Flow) -> None:
    task = flow.submit(r"printf 'a\000b\377'; printf 'no newline' >&2")

    assert output(task) == b"a\0b\xff"
    assert output(task, "stderr") == b"no newline"


def test_words_are_an_argv_without_a_shell(flow: Flow) -> None:
    assert output(flow.submit(["printf", "%s", "$HOME; *"])) == b"$HOME; *"


def test_a_new_process_finds_logs_and_exit_code(flow: Flow) -> None:
    task = flow.submit("echo kept; exit 5")
    task.wait()

    code = "import flow_core as f, sys; t = f.task(sys.argv[1]); print(next(t.logs()).data, t.exit_code)"
    seen = subprocess.run([sys.executable, "-c", code, task.id], capture_output=True, text=True, check=True)

    assert seen.stdout == "b'kept\\n' 5\n"


def test_a_task_that_no_queue_can_run_yet_is_accepted_says_why_it_waits_and_runs_once(
    flow: Flow, home: Path, project: Path
) -> None:
    lock = home / "state" / "local" / "serve.lock"
    lock.mkdir(parents=True)
    task = flow.submit("echo ran >> ran")
    assert task.status == "pending"
    assert "cannot be started" in task.reason

    lock.rmdir()
    assert task.wait(timeout=60) == 0
    assert (project / "ran").read_text() == "ran\n"


def test_a_task_outlives_the_client_that_was_killed(flow: Flow, project: Path) -> None:
    code = "import flow_core as f, os; f.submit('while [ ! -e go ]; do sleep 0.02; done; echo done', name='long'); os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -9

    (project / "go").touch()

    task = flow.task("long")
    assert task.wait(timeout=20) == 0
    assert output(task) == b"done\n"


def test_the_environment_is_clean(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_MY_SHELL", "x")
    monkeypatch.setenv("VIRTUAL_ENV", "/some/venv")

    seen = output(flow.submit("env", env={"MINE": "1"})).decode().splitlines()
    names = {line.partition("=")[0] for line in seen}

    assert "SECRET_OF_MY_SHELL" not in names
    assert {"MINE=1", "VIRTUAL_ENV=/some/venv"} <= set(seen)
    assert {"PATH", "HOME", "FLOW_TASK_ID", "RANK", "WORLD_SIZE"} <= names


def test_code_is_used_in_place_by_default(flow: Flow, project: Path) -> None:
    (project / "here.txt").write_text("in place")

    assert output(flow.submit("cat here.txt; pwd")).decode() == f"in place{project}\n"


def test_a_snapshot_is_the_code_as_it_was(flow: Flow, project: Path) -> None:
    (project / "file.txt").write_text("before")
    (project / ".gitignore").write_text("*.log\n")
    (project / "big.log").write_text("ignored")

    task = flow.submit(
        "while [ ! -e $GO ]; do sleep 0.02; done; cat file.txt; ls -A", code="snapshot", env={"GO": str(project / "go")}
    )
    (project / "file.txt").write_text("after")
    (project / "go").touch()

    assert output(task).decode().split() == ["before.gitignore", "file.txt"]


def test_every_rank_has_its_variables(flow: Flow) -> None:
    task = flow.submit(
        "echo $NODE_RANK/$NNODES $RANK/$WORLD_SIZE $LOCAL_RANK $FLOW_NODE_RANK/$FLOW_NUM_NODES $MASTER_ADDR:$MASTER_PORT",
        num_instances=3,
    )
    lines = [output(task, rank=rank).decode().split() for rank in range(3)]

    assert [line[:4] for line in lines] == [[f"{r}/3", f"{r}/3", "0", f"{r}/3"] for r in range(3)]
    assert len({line[4] for line in lines}) == 1


def test_a_failing_rank_stops_the_others(flow: Flow) -> None:
    task = flow.submit('[ "$RANK" = 1 ] && exit 3; exec sleep 60', num_instances=3)

    assert task.wait(timeout=20) == 3
    assert "rank 1" in task.reason


def test_retries_are_attempts(flow: Flow, project: Path) -> None:
    task = flow.submit("echo try $FLOW_ATTEMPT; [ -e second ] || { touch second; exit 1; }", retries=2)

    assert task.wait(timeout=20) == 0
    assert [(attempt.number, attempt.exit_code) for attempt in task.attempts] == [(1, 1), (2, 0)]
    assert output(task) == b"try 1\ntry 2\n"


def test_the_time_limit_ends_it(flow: Flow) -> None:
    task = flow.submit("sleep 60", time_limit=0.3, grace=1)

    assert task.wait(timeout=20) == 124
    assert task.status == "timed_out"
    assert "0.3 s" in task.reason


def test_cancel_ends_the_whole_tree(flow: Flow) -> None:
    task = flow.submit("setsid sleep 60 & (trap '' TERM; sleep 60) & echo up; wait", grace=0.5)
    next(task.logs(follow=True))
    assert len(tasks_of(task.id)) >= 3

    assert task.cancel() is True
    task.wait(timeout=20)

    assert task.status == "cancelled"
    assert tasks_of(task.id) == []


def test_cancelling_what_has_ended_changes_nothing(flow: Flow) -> None:
    task = flow.submit("true")
    task.wait()

    assert task.cancel() is False
    assert task.status == "succeeded"


def test_a_log_is_resumed_at_its_cursor(flow: Flow) -> None:
    task = flow.submit("seq 1 50")
    whole = output(task)
    cursor, first = LogCursor(), b""
    for chunk in task.logs():
        first = chunk.data[:17]
        cursor = cursor.after(type(chunk)(1, 0, "stdout", 0, first))
        break

    rest = b"".join(chunk.data for chunk in task.logs(cursor=cursor))

    assert first + rest == whole


def test_a_secret_reaches_the_task_and_nothing_else(flow: Flow, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "correct-horse-battery")
    task = flow.submit('printf %s "$TOKEN" | sha256sum', secrets=["MY_TOKEN=TOKEN"])

    assert output(task).decode().split()[0] == sha256(b"correct-horse-battery").hexdigest()
    task.wait()
    end = time.monotonic() + 20
    while list(home.glob("state/local/tasks/flow-*")) and time.monotonic() < end:
        time.sleep(0.01)  # its folder is put away just then
    leaks = [path for path in home.rglob("*") if path.is_file() and b"correct-horse-battery" in path.read_bytes()]
    assert leaks == []


def test_a_missing_secret_is_refused_before_anything_happens(flow: Flow) -> None:
    with pytest.raises(ConfigError, match="NOT_THERE"):
        flow.submit("true", secrets=["NOT_THERE"])
    assert flow.tasks() == []


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"gpu": "64xh100"}, "instance_type"),
        ({"cpus": 10_000}, "resources.cpus"),
        ({"memory": "900TB"}, "resources.memory"),
        ({"disk": "900PB"}, "resources.disk"),
        ({"region": "mars"}, "region"),
        ({"spot": True}, "spot"),
        ({"volumes": ["nothing"]}, "volumes[0].name"),
        ({"mounts": ["./nothing:/data"]}, "mounts[0].source"),
        ({"max_price_per_hour": 1}, "max_price_per_hour"),
    ],
)
def test_what_this_machine_cannot_do_is_refused_by_name(flow: Flow, asked: dict[str, object], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        flow.submit("true", **asked)  # type: ignore[arg-type]

    (problem,) = [problem for problem in caught.value.problems if problem.path == path]
    assert problem.hint
    assert flow.tasks() == []


def test_a_mount_of_what_is_no_folder_is_refused_without_a_promise_that_a_plugin_helps(flow: Flow) -> None:
    with pytest.raises(ConfigError) as caught:
        flow.submit("true", mounts=["s3://bucket/data:/data"])
    (problem,) = caught.value.problems
    assert (problem.path, problem.code) == ("mounts[0].source", "NO_SUCH_SOURCE")
    assert problem.message == "s3://bucket/data is no folder and no volume: nothing else is mounted"
    assert problem.hint


def test_run_with_check_raises_when_it_fails(flow: Flow) -> None:
    with pytest.raises(TaskFailed, match="exit code 3") as caught:
        flow.run("exit 3", check=True, stream=False)
    assert caught.value.task_exit_code == 3


def test_the_same_idempotency_key_is_the_same_task(flow: Flow) -> None:
    first = flow.submit("echo once", idempotency_key="k1")

    assert flow.submit("echo once", idempotency_key="k1").id == first.id


def test_a_task_waits_for_the_one_it_depends_on(flow: Flow, project: Path) -> None:
    first = flow.submit("while [ ! -e go ]; do sleep 0.02; done; echo made > made")
    second = flow.submit("cat made", depends_on=[first.id])
    (project / "go").touch()

    assert second.wait(timeout=20) == 0
    assert output(second) == b"made\n"


def test_a_task_whose_dependency_failed_does_not_run(flow: Flow, project: Path) -> None:
    first = flow.submit("exit 3")
    second = flow.submit("touch ran", depends_on=[first.id])

    second.wait(timeout=20)

    assert second.status == "failed"
    assert first.id in second.reason
    assert not (project / "ran").exists()


def test_any_end_is_enough_where_the_config_says_so(flow: Flow) -> None:
    first = flow.submit("exit 3")

    assert flow.submit("true", depends_on=[f"any:{first.id}"]).wait(timeout=20) == 0


def test_the_task_gets_free_ports_by_name(flow: Flow) -> None:
    seen = output(flow.submit("echo $FLOW_PORT_WEB $FLOW_PORT_MAIN", ports=["web=0", 9001])).split()

    assert 1024 < int(seen[0]) < 65536
    assert seen[1] == b"9001"


def test_tasks_of_one_name_are_found_by_it_newest_first(flow: Flow) -> None:
    flow.submit("exit 1", name="twin").wait()
    second = flow.submit("exit 2", name="twin")

    assert flow.task("twin").id == second.id


def test_a_stopped_supervisor_is_started_again_by_the_next_look(flow: Flow, home: Path, project: Path) -> None:
    task = flow.submit("while [ ! -e go ]; do sleep 0.02; done; exit 4")
    next(iter(task.attempts), None)
    served = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _serves(int(pid), home)]
    assert served
    for pid in served:
        os.kill(pid, 9)
    (project / "go").touch()

    assert task.wait(timeout=20) == 4


def tasks_of(task_id: str) -> list[int]:
    """The pids of all processes that carry a task's id in their environment."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _belongs(entry, task_id)]


def _belongs(process: Path, task_id: str) -> bool:
    try:
        return f"FLOW_TASK_ID={task_id}\0".encode() in (process / "environ").read_bytes()
    except OSError:
        return False


def _serves(pid: int, home: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"serve" in words and os.fsencode(home / "state" / "local") in words
