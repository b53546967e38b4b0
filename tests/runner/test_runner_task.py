"""What a task gets, and what is told of its end."""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import time
from pathlib import Path

import pytest

from flow_core.runner import command, mounts, queue, record

from .machine import Machine, alive, marked, until


@pytest.mark.parametrize("code", [0, 1, 2, 7, 64, 77, 125, 126, 127, 128, 129, 200, 255])
def test_the_exit_code_is_the_commands(machine: Machine, code: int) -> None:
    found = machine.run(f"exit {code}")
    assert found["attempts"][-1]["exit_code"] == code
    assert found["state"] == ("failed" if code else "succeeded")
    assert found["reason"].startswith(f"exit code {code}")


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL", "SIGSEGV", "SIGTERM", "SIGPIPE", "SIGUSR1"])
def test_a_signal_is_told_by_number_and_name(machine: Machine, name: str) -> None:
    number = signal.Signals[name].value
    found = machine.run(f"kill -{number} $$")
    last = found["attempts"][-1]
    assert (found["state"], last["signal"], last["exit_code"]) == ("failed", number, 128 + number)
    assert f"killed by signal {number} ({name})" in found["reason"]


def test_a_signal_read_from_an_exit_code_alone_is_marked_as_inferred(machine: Machine) -> None:
    assert machine.run("exit 137")["attempts"][-1]["signal_inferred"] is True


def test_a_signal_that_was_seen_is_not_marked(machine: Machine) -> None:
    task = machine.submit("echo ready; sleep 0.2; kill -9 $$")
    os.kill(machine.running(task), signal.SIGKILL)  # its watcher: then the end is seen by waitid
    last = machine.wait(task)["attempts"][-1]
    assert (last["signal"], last["reason"]) == (9, "killed by signal 9 (SIGKILL)")
    assert "signal_inferred" not in last


def test_a_missing_command_is_127_with_the_shells_message(machine: Machine) -> None:
    task = machine.submit(command={"argv": ["no-such-command", "x"]})
    assert machine.wait(task)["attempts"][-1]["exit_code"] == 127
    assert b"no-such-command" in machine.output(task, "stderr")


def test_a_command_that_may_not_be_run_is_126(machine: Machine) -> None:
    task = machine.submit(command={"argv": ["/etc/passwd"]})
    assert machine.wait(task)["attempts"][-1]["exit_code"] == 126


def test_logs_are_the_bytes_that_were_written(machine: Machine) -> None:
    data = bytes(range(256)) * 300
    source = machine.root / "data"
    source.write_bytes(data)
    task = machine.submit(f"cat {source}; cat {source} {source} >&2")
    machine.wait(task)
    assert machine.output(task) == data
    assert machine.output(task, "stderr") == data * 2


def test_arguments_reach_the_command_as_they_are(machine: Machine) -> None:
    words = ["", "a b", "$HOME", "`id`", "'\"", "é\n", "-n", "*"]
    task = machine.submit(command={"argv": ["printf", "%s\\0", *words]})
    machine.wait(task)
    assert machine.output(task).decode().split("\0")[:-1] == words


def test_stdin_is_empty_and_no_descriptor_is_inherited(machine: Machine) -> None:
    task = machine.submit("cat; ls /proc/self/fd | sort -n | tr '\\n' ' '")
    machine.wait(task)
    assert machine.output(task).split()[:3] == [b"0", b"1", b"2"]
    assert len(machine.output(task).split()) <= 4  # the last one is ls's own, of the folder it reads


def test_signals_have_their_default_actions(machine: Machine) -> None:
    task = machine.submit("grep -E 'Sig(Ign|Blk)' /proc/self/status")
    machine.wait(task)
    masks = [int(line.split()[1], 16) for line in machine.output(task).splitlines()]
    assert [mask & 0x7FFFFFFF for mask in masks] == [0, 0]  # 32 and 33 are the C library's own


def test_the_environment_is_clean(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOW_TEST_STRAY", "1")
    monkeypatch.setenv("LC_PASSED", "yes")
    task = machine.submit("env", env={"MINE": "a=b c"}, env_pass=["LC_PASSED", "ABSENT"])
    machine.wait(task)
    found = dict(line.split("=", 1) for line in machine.output(task).decode().splitlines())
    assert found["MINE"] == "a=b c"
    assert found["LC_PASSED"] == "yes"
    own = {"MINE", "LC_PASSED", "PATH", "HOME", "PWD", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "NNODES"}
    assert {name for name in found if not name.startswith("FLOW_")} - {"_", "SHLVL", "OLDPWD"} == own | {
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
    }
    assert "FLOW_TEST_STRAY" not in found


def test_every_rank_knows_its_place(machine: Machine) -> None:
    task = machine.submit(
        "echo $FLOW_TASK_ID $FLOW_NODE_RANK $FLOW_NUM_NODES $FLOW_NODE_IPS $NODE_RANK $NNODES $RANK $WORLD_SIZE"
        " $LOCAL_RANK $FLOW_ATTEMPT $FLOW_GPUS_PER_NODE; echo $MASTER_ADDR $MASTER_PORT >&2",
        num_instances=3,
        task_id="t-one",
    )
    machine.wait(task)
    for rank in range(3):
        want = f"t-one {rank} 3 127.0.0.1,127.0.0.1,127.0.0.1 {rank} 3 {rank} 3 0 1 0\n"
        assert machine.output(task, rank=rank).decode() == want
    address, port = machine.output(task, "stderr", 0).split()
    assert address == b"127.0.0.1"
    assert 1024 <= int(port) <= 65535
    assert {machine.output(task, "stderr", rank) for rank in range(3)} == {b"%s %s\n" % (address, port)}


def test_several_processes_of_a_node_have_ranks_of_their_own(machine: Machine) -> None:
    task = machine.submit("echo $RANK/$WORLD_SIZE $LOCAL_RANK", num_instances=2, processes_per_node=3)
    assert machine.wait(task)["state"] == "succeeded"
    lines = sorted(machine.output(task, rank=1).decode().splitlines())
    assert lines == ["3/6 0", "4/6 1", "5/6 2"]


def test_the_first_failing_process_of_a_node_gives_its_exit_code(machine: Machine) -> None:
    found = machine.run("test $RANK = 1 && exit 5; sleep 20", processes_per_node=3)
    assert found["attempts"][-1]["exit_code"] == 5


def test_it_starts_in_its_working_dir(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "code" / "sub").mkdir(parents=True)
    code = {"mode": "inplace", "root": str(tmp_path / "code")}
    for given, want in ((None, "code"), ("sub", "code/sub"), (str(tmp_path), ".")):
        task = machine.submit("pwd", code=code, working_dir=given)
        machine.wait(task)
        assert Path(machine.output(task).decode().strip()) == (tmp_path / want).resolve()


def test_a_missing_working_dir_is_the_reason(machine: Machine) -> None:
    found = machine.run("true", working_dir="/no/such/folder")
    assert found["state"] == "failed"
    assert "/no/such/folder is not a folder" in found["reason"]
    assert found["attempts"][-1]["exit_code"] == 125


def test_secrets_are_there_and_then_removed(machine: Machine, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "token"
    task = machine.submit(
        f'echo ready; printf %s "$KEY"; cat {file}; stat -c %a {file} >&2; sleep 0.2',
        secrets={"k": "pässword", "f": "file\n"},
        env={"KEY": "overridden"},
        bundle_secrets={"names": {"KEY": "k"}, "files": {str(file): "f"}},
    )
    machine.running(task)
    assert stat.S_IMODE((machine.folder(task) / "secrets").stat().st_mode) == 0o600
    machine.wait(task)
    assert machine.output(task).decode() == "ready\npässwordfile\n"
    assert machine.output(task, "stderr") == b"600\n"
    until("the secrets are gone", lambda: not (machine.folder(task) / "secrets").exists())
    assert not file.exists()


def test_secrets_are_still_there_for_a_retry(machine: Machine) -> None:
    task = machine.submit(
        "test $FLOW_ATTEMPT = 2 && printf %s $KEY || exit 1",
        secrets={"k": "value"},
        bundle_secrets={"names": {"KEY": "k"}},
        retry={"retries": 1, "delay": 0.01},
    )
    assert machine.wait(task)["state"] == "succeeded"
    assert machine.output(task, attempt=2) == b"value"


def test_a_secret_that_never_came_is_named(machine: Machine) -> None:
    found = machine.run("true", bundle_secrets={"names": {"KEY": "wandb"}})
    assert (found["state"], "wandb" in found["reason"]) == ("failed", True)


def test_a_newer_bundle_is_refused_with_a_reason(machine: Machine) -> None:
    found = machine.run("true", schema="flow.bundle/2")
    assert found["state"] == "failed"
    assert "flow.bundle/2" in found["reason"]


def test_a_bundle_with_unknown_keys_runs(machine: Machine) -> None:
    assert machine.run("true", schema="flow.bundle/1.7", surprise={"a": 1})["state"] == "succeeded"


def test_a_bundle_that_is_no_json_fails_and_says_so(machine: Machine) -> None:
    task = machine.stage("true")
    (machine.folder(task) / "bundle.json").write_text("{")
    machine.serve()
    assert "bundle.json" in machine.wait(task)["reason"]


@pytest.mark.parametrize(
    "line",
    [
        "sleep 60 & echo $! > pids; echo ready; sleep 60",
        "setsid sleep 60 & echo $! > pids; echo ready; sleep 60",
        "sh -c 'setsid sh -c \"sleep 60 & echo \\$! > pids\" &'; sleep 0.1; echo ready; sleep 60",
        "(trap '' TERM HUP; while :; do sleep 1; done) & echo $! > pids; echo ready; sleep 60",
    ],
    ids=["background", "setsid", "daemon", "deaf"],
)
def test_a_cancelled_task_leaves_no_process(machine: Machine, line: str) -> None:
    task = machine.submit(line, limits={"grace": 0.3})
    machine.running(task)
    pids = [int(word) for word in (machine.folder(task) / "work" / "pids").read_text().split()]
    assert all(map(alive, pids))
    queue.request_cancel(str(machine.folder(task)), 0.3)
    assert machine.wait(task)["state"] == "cancelled"
    assert not any(map(alive, pids))
    assert machine.processes() == []


@pytest.mark.parametrize("line", ["sleep 60 &", "setsid sleep 60 &", "env -i setsid sleep 60 & sleep 0.05"])
def test_what_a_command_leaves_in_the_background_is_ended_with_it(machine: Machine, line: str) -> None:
    mark = f"{60 + os.getpid()}.25"
    found = machine.run(line.replace("60", mark))
    assert found["state"] == "succeeded"
    assert marked(mark, "cmdline") == []


def test_a_server_started_by_a_task_outlives_it(machine: Machine, tmp_path: Path) -> None:
    inner = Machine(tmp_path / "inner")
    name = inner.stage("sleep 0.6; exit 5")
    line = shlex.join(command("serve", str(inner.root)))
    assert machine.run(f"FLOW_RUNNER_SERVER=1 setsid env -u FLOW_TASK_DIR {line} & sleep 0.3")["state"] == "succeeded"
    assert inner.wait(name)["attempts"][-1]["exit_code"] == 5
    inner.close()


def test_a_command_that_ignores_the_stop_signal_is_killed_after_its_grace(machine: Machine) -> None:
    task = machine.submit("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    machine.running(task)
    begun = time.monotonic()
    queue.request_cancel(str(machine.folder(task)), 0.5)
    found = machine.wait(task)
    assert found["state"] == "cancelled"
    assert 0.5 <= time.monotonic() - begun < 3


def test_a_command_may_use_its_grace(machine: Machine) -> None:
    task = machine.submit(
        "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done", limits={"grace": 20}
    )
    machine.running(task)
    queue.request_cancel(str(machine.folder(task)))
    assert machine.wait(task)["state"] == "cancelled"
    assert machine.output(task) == b"ready\nbye\n"


def test_the_stop_signal_can_be_chosen(machine: Machine) -> None:
    task = machine.submit(
        "trap 'exit 3' INT; echo ready; while :; do sleep 0.05; done",
        limits={"stop_signal": "INT", "grace": 20},
    )
    machine.running(task)
    queue.request_cancel(str(machine.folder(task)))
    assert machine.wait(task)["attempts"][-1]["exit_code"] == 3


def test_a_time_limit_ends_a_task(machine: Machine) -> None:
    found = machine.run("sleep 60", limits={"time_limit": 0.4, "grace": 5}, retry={"retries": 3})
    assert (found["state"], found["reason"]) == ("timed_out", "time limit of 0.4 s reached")
    assert len(found["attempts"]) == 1


def test_a_time_limit_counts_on_when_the_server_is_killed(machine: Machine) -> None:
    task = machine.submit("echo ready; sleep 60", limits={"time_limit": 3, "grace": 5})
    machine.running(task)
    time.sleep(1.5)
    machine.kill_server()
    machine.serve()
    last = machine.wait(task)["attempts"][-1]
    assert last["state"] == "timed_out"
    assert 2.9 <= last["ended_at"] - last["started_at"] < 4.4


def test_a_failed_task_is_tried_again_in_place(machine: Machine) -> None:
    task = machine.submit("echo $FLOW_ATTEMPT; test $FLOW_ATTEMPT = 3", retry={"retries": 5, "delay": 0.05})
    found = machine.wait(task)
    assert (found["state"], [a["state"] for a in found["attempts"]]) == (
        "succeeded",
        ["failed", "failed", "succeeded"],
    )
    starts = [a["started_at"] for a in found["attempts"]]
    ends = [a["ended_at"] for a in found["attempts"]]
    assert starts[1] - ends[0] >= 0.05
    assert starts[2] - ends[1] >= 0.1
    assert machine.output(task, attempt=2) == b"2\n"


def test_retries_are_used_up(machine: Machine) -> None:
    found = machine.run("exit 6", retry={"retries": 2, "delay": 0.01}, first_attempt=4)
    assert [a["number"] for a in found["attempts"]] == [4, 5, 6]
    assert (found["state"], found["reason"]) == ("failed", "exit code 6")


def test_retries_go_on_when_the_server_is_killed(machine: Machine) -> None:
    task = machine.submit("test $FLOW_ATTEMPT = 2", retry={"retries": 1, "delay": 0.7})
    until("the first attempt has failed", lambda: machine.exit(task).ended)
    assert machine.report(task)["state"] == "pending"
    machine.kill_server()
    machine.serve()
    assert machine.wait(task)["state"] == "succeeded"


def test_one_failing_rank_stops_the_others_and_gives_the_tasks_exit_code(machine: Machine) -> None:
    found = machine.run("test $RANK = 1 && sleep 0.2 && exit 3; trap 'exit 0' TERM; sleep 60 & wait", num_instances=3)
    assert (found["state"], found["reason"]) == ("failed", "rank 1 failed: exit code 3")
    last = found["attempts"][-1]
    assert last["exit_code"] == 3
    assert [node["state"] for node in last["nodes"]] == ["cancelled", "failed", "cancelled"]
    assert last["nodes"][0]["reason"] == "rank 1 failed with exit code 3; stopped"


def test_all_ranks_start_again_when_one_fails(machine: Machine) -> None:
    task = machine.submit(
        "echo $RANK; test $FLOW_ATTEMPT.$RANK != 1.1", num_instances=2, retry={"retries": 1, "delay": 0.01}
    )
    assert machine.wait(task)["state"] == "succeeded"
    assert [machine.output(task, rank=rank, attempt=2) for rank in (0, 1)] == [b"0\n", b"1\n"]


def test_a_waiting_task_is_cancelled_at_once(machine: Machine) -> None:
    machine.has(max_tasks=1)
    machine.submit("sleep 5")
    task = machine.submit("echo never")
    begun = time.monotonic()
    assert queue.request_cancel(str(machine.folder(task))) is True
    found = machine.wait(task)
    assert (found["state"], found["attempts"]) == ("cancelled", [])
    assert time.monotonic() - begun < 1


def test_a_task_waiting_for_its_next_attempt_is_cancelled_at_once(machine: Machine) -> None:
    task = machine.submit("exit 1", retry={"retries": 9, "delay": 30})
    until("it has failed", lambda: machine.exit(task).ended)
    until("it rests", lambda: machine.report(task)["state"] == "pending")
    queue.request_cancel(str(machine.folder(task)))
    assert machine.wait(task, 5)["state"] == "cancelled"


def test_a_cancel_after_the_end_changes_nothing(machine: Machine) -> None:
    task = machine.submit("exit 2")
    machine.wait(task)
    assert queue.request_cancel(str(machine.folder(task))) is False
    assert machine.report(task)["state"] == "failed"


def test_a_cancel_that_came_too_late_does_not_count(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOW_RUNNER_WITHOUT", "guardian")
    task = machine.submit("echo ready; sleep 0.3; exit 4")
    machine.running(task)
    machine.kill_server()
    until("it has ended", lambda: machine.exit(task).ended)
    assert queue.request_cancel(str(machine.folder(task))) is True
    machine.serve()
    assert machine.wait(task)["state"] == "failed"


def test_a_signal_reaches_the_command(machine: Machine) -> None:
    task = machine.submit("trap 'echo got; exit 0' USR1; echo ready; while :; do sleep 0.05; done")
    machine.running(task)
    assert queue.request_signal(str(machine.folder(task)), "USR1")
    assert machine.wait(task)["state"] == "succeeded"
    assert machine.output(task) == b"ready\ngot\n"


def test_an_exit_note_tells_the_platform(machine: Machine, tmp_path: Path) -> None:
    note = tmp_path / "note"
    machine.run("exit 9", exit_note=str(note))
    found = until("the note", lambda: note.exists() and json.loads(note.read_text()))
    assert (found["state"], found["exit_code"]) == ("failed", 9)


def test_a_command_too_large_for_the_kernel_is_refused_with_a_reason(machine: Machine) -> None:
    found = machine.run(command={"argv": ["true", "x" * 200_000]})
    assert found["state"] == "failed"
    assert "Argument list too long" in found["reason"]


def test_a_growing_log_gets_times(machine: Machine) -> None:
    begun = time.time_ns()
    task = machine.submit("sleep 0.15; echo one; sleep 0.3; echo two; sleep 0.2")
    machine.wait(task)
    data = machine.output(task, "stdout.idx")
    records = [
        (int.from_bytes(data[i : i + 8], "little"), int.from_bytes(data[i + 8 : i + 16], "little")) for i in (0, 16)
    ]
    assert [offset for offset, _ in records] == [0, 4]
    assert begun < records[0][1] < records[1][1] - 200_000_000


def test_the_report_is_right_while_it_runs(machine: Machine) -> None:
    task = machine.submit("echo ready; sleep 60")
    machine.running(task)
    found = machine.report(task)
    assert (found["state"], found["source"]) == ("running", "node")
    (node,) = found["attempts"][0]["nodes"]
    assert (node["state"], node["ready"], node["exit_code"], node["ended_at"]) == (
        "running",
        True,
        None,
        None,
    )


def test_the_report_says_lost_when_all_witnesses_were_killed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOW_RUNNER_WITHOUT", "guardian")
    task = machine.submit("echo ready; sleep 60")
    watcher = machine.running(task)
    pid = until("the command is on record", lambda: machine.exit(task).task)[0]
    machine.kill_server(watcher, pid, *machine.processes())
    until("it is called lost", lambda: machine.report(task)["state"] == "lost")
    assert record.read_final(str(machine.folder(task))) is None  # only looked at


def test_mounts_are_there_for_the_command_alone(machine: Machine, tmp_path: Path) -> None:
    why = mounts.possible()
    if why:
        pytest.skip(why)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("data")
    target = tmp_path / "target"
    target.mkdir()
    task = machine.submit(
        f"cat {target}/file; exit 6",
        mounts=[{"source": str(tmp_path / "source"), "target": str(target), "read_only": True}],
    )
    assert machine.wait(task)["attempts"][-1]["exit_code"] == 6
    assert machine.output(task) == b"data"
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../..", ".flow-1.new", "a/b"])
def test_what_is_no_name_of_a_task_is_found_nowhere(machine: Machine, name: str) -> None:
    (machine.root / "tasks" / ".flow-1.new").mkdir(parents=True)
    assert record.locate(str(machine.root), name) is None
