"""The queue of one machine: order, room, the bell, restarts, full disks."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from flow_core.runner import queue, record

from .machine import Machine, alive, until


def started(machine: Machine) -> list[str]:
    lines = (machine.root / "events").read_text().splitlines()
    return [line.split()[1] for line in lines if line.endswith(" started")]


def test_higher_priority_goes_first_then_age(machine: Machine) -> None:
    machine.has(max_tasks=1)
    first = machine.submit("sleep 0.3")
    now = time.time()
    wanted = [("late", 0, now + 2), ("early", 0, now + 1), ("urgent", 5, now + 3), ("idle", -5, now)]
    for name, priority, at in wanted:
        machine.submit("true", name=f"flow-{name}", priority=priority, created_at=at)
    machine.wait("flow-idle")
    assert started(machine) == [first, "flow-urgent", "flow-early", "flow-late", "flow-idle"]


def test_no_more_tasks_run_than_there_are_slots(machine: Machine) -> None:
    machine.has(max_tasks=2)
    running = machine.root / "running"
    running.mkdir()
    line = f"touch {running}/$FLOW_TASK_ID; ls {running} | wc -l; sleep 0.05; rm {running}/$FLOW_TASK_ID"
    tasks = [machine.submit(line) for _ in range(8)]
    assert max(int(machine.wait(task) and machine.output(task)) for task in tasks) == 2


def test_cores_are_shared_by_claim(machine: Machine) -> None:
    machine.has(cpus=2, max_tasks=64)
    tasks = [machine.submit("echo ready; sleep 0.3", limits={"cpus": 1.5}) for _ in range(2)]
    reports = [machine.wait(task)["attempts"][-1] for task in tasks]
    assert reports[1]["started_at"] >= reports[0]["ended_at"]


def test_each_gpu_is_given_to_one_task(machine: Machine) -> None:
    machine.has(gpus=[{"id": "GPU-a", "name": "x"}, {"id": "GPU-b", "name": "x"}])
    line = "echo ready; echo $CUDA_VISIBLE_DEVICES; sleep 0.2"
    tasks = [machine.submit(line, limits={"gpu_count": 1}) for _ in range(3)]
    reports = [machine.wait(task)["attempts"][-1] for task in tasks]
    given = [machine.output(task).split()[1].decode() for task in tasks]
    assert given[:2] == ["GPU-a", "GPU-b"]
    assert reports[2]["started_at"] >= min(report["ended_at"] for report in reports[:2])


def test_gpus_stay_with_their_task_when_the_server_is_killed(machine: Machine) -> None:
    machine.has(gpus=[{"id": "0", "name": "x"}, {"id": "1", "name": "x"}])
    line = "echo ready; echo $CUDA_VISIBLE_DEVICES; sleep 0.8"
    first = machine.submit(line, limits={"gpu_count": 1})
    machine.running(first)
    machine.kill_server()
    second = machine.submit(line, limits={"gpu_count": 1})
    machine.wait(second)
    assert [machine.output(task).split()[1] for task in (first, second)] == [b"0", b"1"]


def test_gpus_are_hidden_from_a_task_that_asked_for_none(machine: Machine) -> None:
    machine.has(gpus=[{"id": "0", "name": "x"}])
    task = machine.submit('echo "[$CUDA_VISIBLE_DEVICES]" ${CUDA_VISIBLE_DEVICES+set}')
    machine.wait(task)
    assert machine.output(task) == b"[] set\n"


def test_gpus_are_left_alone_where_nobody_listed_them(machine: Machine) -> None:
    task = machine.submit("echo ${CUDA_VISIBLE_DEVICES-unset}")
    machine.wait(task)
    assert machine.output(task) == b"unset\n"


def test_what_this_machine_never_has_is_refused_with_a_reason(machine: Machine) -> None:
    machine.has(gpus=[{"id": "0", "name": "x"}])
    found = machine.run("true", limits={"gpu_count": 8})
    assert (found["state"], found["attempts"]) == ("failed", [])
    assert "needs 8 GPUs and this machine has 1" in found["reason"]


def test_a_folder_staged_again_after_its_end_does_not_run_again(machine: Machine) -> None:
    ledger = machine.root / "ledger"
    machine.run(f"echo run >> {ledger}", name="flow-once")
    until("it is put away", lambda: not (machine.root / "tasks" / "flow-once").exists())
    machine.submit(f"echo run >> {ledger}", name="flow-once")
    until("it is put aside", lambda: not (machine.root / "tasks" / "flow-once").exists())
    machine.run("true")
    assert ledger.read_text() == "run\n"


def test_events_count_on_over_restarts(machine: Machine) -> None:
    machine.run("true")
    machine.kill_server()
    machine.run("true")
    numbers = [int(line.split()[0]) for line in (machine.root / "events").read_text().splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_events_are_rotated(machine: Machine) -> None:
    (machine.root / "events").write_text("7 old 1 - succeeded\n" * ((9 << 20) // 20))
    machine.run("true")
    machine.run("true")
    until("rotation", lambda: (machine.root / "events.1").exists())
    assert int((machine.root / "events").read_text().split()[0] if (machine.root / "events").stat().st_size else 8) >= 8


def test_no_ring_is_lost_when_a_server_leaves(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOW_RUNNER_LINGER", "0.001")
    for number in range(60):
        task = machine.submit("true")
        machine.wait(task, 5)
        time.sleep(number % 7 * 0.0005)


def test_many_clients_at_once_start_one_server(machine: Machine) -> None:
    tasks = [machine.stage("sleep 0.3") for _ in range(8)]
    clients = [threading.Thread(target=queue.ensure_serving, args=(str(machine.root), task)) for task in tasks]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    until("one server", lambda: len(machine.servers()) == 1)  # a child between fork and exec looks like one
    assert {machine.wait(task)["state"] for task in tasks} == {"succeeded"}
    assert sorted(started(machine)) == sorted(tasks)


def test_a_client_keeps_no_child_and_gives_away_no_descriptor(machine: Machine) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    task = machine.submit("echo ready; sleep 0.5")
    machine.running(task)
    os.close(write)
    assert os.read(read, 1) == b""  # the end of the pipe: nobody else holds it
    os.close(read)
    (server,) = machine.servers()
    assert os.getpid() != int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
    assert Path(f"/proc/{server}/cwd").resolve() == Path("/")
    machine.wait(task)


def test_a_root_with_a_long_path_works(tmp_path: Path) -> None:
    machine = Machine(tmp_path / ("long-" * 20) / ("path-" * 20))
    try:
        assert machine.run("exit 3")["attempts"][-1]["exit_code"] == 3
    finally:
        machine.close()


def test_after_a_reboot_running_tasks_are_lost_and_waiting_ones_start(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has(max_tasks=1)
    monkeypatch.setenv("FLOW_RUNNER_WITHOUT", "guardian")
    running = machine.submit("echo ready; sleep 60")
    waiting = machine.submit("exit 4")
    watcher = machine.running(running)
    machine.kill_server(watcher, *machine.processes())
    monkeypatch.setenv("FLOW_RUNNER_BOOT_ID", "another")
    machine.serve()
    found = machine.wait(running)
    assert (found["state"], found["reason"]) == ("lost", "the machine was restarted (another boot id)")
    assert machine.wait(waiting)["attempts"][-1]["exit_code"] == 4


def test_a_server_with_a_fault_says_it_in_its_log(machine: Machine) -> None:
    (machine.root / "events").mkdir()
    machine.stage("true")
    machine.serve()
    until(
        "the log",
        lambda: ((machine.root / "serve.log").exists() and "events" in (machine.root / "serve.log").read_text()),
    )


def fill(disk: Path) -> None:
    """Leave no free block."""
    with (disk / "fill").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096):
            continue


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"may not mount a tmpfs here: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_keeps_the_exit_code(small_disk: Path) -> None:
    machine = Machine(small_disk / "root")
    try:
        line = "echo ready; sleep 0.2; cat /dev/zero > {0}/fill 2> /dev/null; sleep 0.3; exit 37"
        task = machine.submit(line.format(small_disk))
        machine.running(task)
        until("the code is kept", lambda: machine.exit(task).code == 37)
        assert record.read_final(str(machine.folder(task))) is None  # there is no room for it
        (small_disk / "fill").unlink()
        assert machine.wait(task)["attempts"][-1]["exit_code"] == 37
    finally:
        machine.close()


def test_a_task_waits_while_a_disk_is_full(small_disk: Path) -> None:
    machine = Machine(small_disk / "root")
    try:
        machine.run("true")
        task = machine.stage("exit 38")
        fill(small_disk)
        machine.serve()
        time.sleep(0.3)
        (small_disk / "fill").unlink()
        assert machine.wait(task)["attempts"][-1]["exit_code"] == 38
    finally:
        machine.close()


def test_a_server_killed_while_it_ends_a_task_ends_it_after(machine: Machine) -> None:
    task = machine.submit("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    watcher = machine.running(task)
    queue.request_cancel(str(machine.folder(task)), 0.6)
    until(
        "the reason is on record",
        lambda: b"r cancelled" in (machine.folder(task) / "attempts/1/0/exit").read_bytes(),
    )
    machine.kill_server()
    machine.serve()
    assert machine.wait(task)["state"] == "cancelled"
    assert not alive(watcher)
