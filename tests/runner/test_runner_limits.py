"""Memory and cores that a task claims, enforced by a control group of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from flow_core.runner import cgroup, queue, record

from .machine import Machine, alive, until

MIB = 1 << 20
HUNGRY = f'{sys.executable} -I -S -c "x = b\\"a\\" * (400 << 20); print(len(x))"'

needs = {
    name: pytest.mark.skipif(name not in cgroup.enforced(), reason=f"no control group for {name} may be written here")
    for name in ("memory", "cpu")
}


def groups(machine: Machine, task: str, rank: int = 0) -> list[Path]:
    note = record.read_json(f"{machine.folder(task)}/attempts/1/{rank}/cgroup") or {"places": {}}
    return [Path(path) for path in note["places"].values()]


@needs["memory"]
def test_a_task_that_needs_more_memory_than_it_claimed_is_killed_and_that_is_named(machine: Machine) -> None:
    found = machine.run(f"exec {HUNGRY}", limits={"memory": 100 * MIB})
    assert (found["state"], found["attempts"][-1]["exit_code"]) == ("failed", 137)
    assert found["reason"] == "killed for memory (limit 100 MiB): raise `memory:`"


@needs["memory"]
def test_of_several_ranks_the_one_that_ran_out_of_memory_is_named(machine: Machine) -> None:
    line = f"[ $RANK = 1 ] && exec {HUNGRY}; sleep 20"
    found = machine.run(line, num_instances=2, limits={"memory": 100 * MIB, "grace": 1})
    assert found["reason"] == "rank 1 failed: killed for memory (limit 100 MiB): raise `memory:`"


@needs["memory"]
def test_a_part_of_a_task_that_ran_out_of_memory_is_told_with_its_exit_code(machine: Machine) -> None:
    found = machine.run(f"{HUNGRY}; exit 3", limits={"memory": 100 * MIB})
    assert found["reason"] == (
        "exit code 3 after one of its processes was killed for memory (limit 100 MiB): raise `memory:`"
    )


@needs["memory"]
def test_a_task_that_stays_below_its_claim_is_left_alone(machine: Machine) -> None:
    assert machine.run(HUNGRY, limits={"memory": 900 * MIB})["reason"] == "exit code 0"


@needs["memory"]
def test_a_task_that_was_killed_by_somebody_is_not_said_to_have_run_out_of_memory(machine: Machine) -> None:
    found = machine.run("kill -9 $$", limits={"memory": 900 * MIB})
    assert "SIGKILL" in found["reason"]
    assert "memory" not in found["reason"]


@needs["memory"]
def test_running_out_of_memory_is_named_also_by_a_server_that_came_later(machine: Machine) -> None:
    task = machine.submit(f"echo ready; while [ ! -e {machine.root}/go ]; do sleep 0.02; done; exec {HUNGRY}",
                          limits={"memory": 100 * MIB})  # fmt: skip
    machine.running(task)
    machine.kill_server()
    (machine.root / "go").touch()
    machine.serve()
    assert machine.wait(task)["reason"].startswith("killed for memory")


@needs["cpu"]
def test_a_task_gets_no_more_of_the_cores_than_it_claimed(machine: Machine) -> None:
    loop = "import time; end = time.time() + 1.5\nwhile time.time() < end: pass\nprint(time.process_time())"
    busy = f'{sys.executable} -I -S -c "{loop}"'
    task = machine.submit(busy, limits={"cpus": 0.2})
    machine.wait(task)
    assert float(machine.output(task)) < 0.6  # of 1.5 seconds; 0.3 is its share


@needs["memory"]
def test_the_group_goes_with_its_task(machine: Machine) -> None:
    task = machine.submit(f"echo ready; while [ ! -e {machine.root}/go ]; do sleep 0.02; done",
                          limits={"memory": 100 * MIB, "cpus": 1})  # fmt: skip
    machine.running(task)
    there = groups(machine, task)
    assert there
    assert all(path.is_dir() for path in there)
    (machine.root / "go").touch()
    machine.wait(task)
    assert not any(path.exists() for path in there)


@needs["memory"]
def test_the_watcher_is_outside_of_the_group_and_the_command_inside(machine: Machine) -> None:
    task = machine.submit("echo ready; sleep 20 & wait", limits={"memory": 100 * MIB})
    watcher = machine.running(task)
    (place,) = groups(machine, task)
    procs = place / "cgroup.procs"
    until("the shell has started its job", lambda: len(procs.read_text().split()) == 2)
    assert str(watcher) not in procs.read_text().split()


@needs["memory"]
def test_the_end_of_a_task_takes_all_of_its_group(machine: Machine, tmp_path: Path) -> None:
    """Also what hides: a process in a session of its own, whose parents are gone, with an empty environment."""
    note = tmp_path / "pid"
    hide = f"setsid env -i /bin/sh -c 'echo $$ >{note}; exec sleep 60' & echo ready; sleep 60"
    task = machine.submit(hide, limits={"memory": 100 * MIB, "grace": 0.2})
    machine.running(task)
    hidden = int(until("its pid", lambda: note.exists() and note.read_text().strip()))
    machine.kill_server()  # whoever comes next is not its sub-reaper
    machine.serve()
    record_of = machine.folder(task)
    assert queue.request_cancel(str(record_of), 0.2)
    machine.wait(task)
    until("the end of what hid", lambda: not alive(hidden))


@needs["memory"]
def test_a_task_that_claims_nothing_has_no_group(machine: Machine) -> None:
    task = machine.submit("echo ready; sleep 20")
    machine.running(task)
    assert not os.path.exists(f"{machine.folder(task)}/attempts/1/0/cgroup")


def test_without_control_groups_a_claim_is_counted_and_the_task_runs(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOW_RUNNER_WITHOUT", "cgroup")
    assert machine.run("exit 0", limits={"memory": 100 * MIB, "cpus": 0.5})["state"] == "succeeded"


VERSION_2 = """29 23 0:26 / {place} rw,nosuid - cgroup2 cgroup2 rw"""


def test_version_2_writes_its_own_files_for_both_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a version 2 tree: plain files; no kernel enforces anything by them."""
    home = tmp_path / "user.slice"
    home.mkdir()
    for name, text in (
        ("cgroup.procs", ""),
        ("cgroup.controllers", "cpu memory"),
        ("cgroup.subtree_control", "cpu memory"),
    ):
        (home / name).write_text(text)
    texts = {"/proc/self/cgroup": "0::/user.slice\n", "/proc/self/mountinfo": VERSION_2.format(place=tmp_path)}
    read = cgroup._read
    monkeypatch.setattr(cgroup, "_read", lambda path: texts.get(path) or read(path))
    monkeypatch.setattr(cgroup, "_homes", [])
    rank = tmp_path / "tasks" / "flow-1" / "attempts" / "1" / "0"
    rank.mkdir(parents=True)
    group = cgroup.make(str(rank), 512 * MIB, 1.5)
    assert group is not None
    (made,) = home.glob("flow.*")
    assert (made / "memory.max").read_text() == str(512 * MIB)
    assert (made / "memory.swap.max").read_text() == "0"
    assert (made / "cpu.max").read_text() == "150000 100000"
    (made / "memory.events").write_text("low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\n")
    (made / "cpu.stat").write_text("usage_usec 2500000\n")
    found = cgroup.find(str(rank))
    assert found is not None
    assert (found.ran_out(), found.cpu_seconds()) == (512 * MIB, 2.5)
    assert found.inside(["true"])[-3:] == ["1", str(made), "true"]
