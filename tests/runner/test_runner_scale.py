"""Ten thousand tasks that wait and a hundred thousand that have ended: what one more costs does not grow with them.

Counted are looks at files and at claims, not times; the folders that have ended are fewer here, since none is opened.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flow_core.runner import board, queue, record
from flow_core.runner.claims import Claim
from flow_core.runner.line import Line
from flow_core.runner.slots import Slots

from .machine import Machine, until

MANY = 10_000
_seen: list[str] | None = None


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None and event in ("open", "os.listdir", "os.scandir"):
        _seen.append(f"{event} {arguments[0]}")


@pytest.fixture(scope="session", autouse=True)
def audit() -> None:
    sys.addaudithook(_hear)  # for good: it does nothing while nobody counts


@pytest.fixture
def opened() -> Iterator[Callable[[Callable[[], object]], list[str]]]:
    """Name every file and folder that a call opens."""

    def count(call: Callable[[], object]) -> list[str]:
        global _seen
        _seen = []
        try:
            call()
            return _seen
        finally:
            _seen = None

    return count


def fill(machine: Machine, count: int) -> list[str]:
    """Let so many tasks wait behind one."""
    machine.has(max_tasks=1)
    first = machine.submit("echo ready; sleep 120")
    machine.running(first)
    names = [machine.stage("true") for _ in range(count)]
    machine.serve()
    until("all wait", lambda: len(board.read(str(machine.root))) == count, 60)
    return names


def finish(machine: Machine, count: int) -> None:
    """Put so many folders where ended tasks lie."""
    for number in range(count):
        Path(record.done_dir(str(machine.root), f"flow-done-{number:06}")).mkdir(parents=True)


def serve_memory(machine: Machine) -> int:
    (pid,) = machine.servers()
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def test_a_server_needs_little_memory_for_each_task_that_waits(machine: Machine) -> None:
    machine.has(max_tasks=1)
    first = machine.submit("echo ready; sleep 120")
    machine.running(first)
    before = serve_memory(machine)
    for _ in range(MANY):
        machine.stage("true")
    machine.serve()
    until("all wait", lambda: len(board.read(str(machine.root))) == MANY, 60)
    each = (serve_memory(machine) - before) / MANY
    print(f"{each:.0f} bytes for each task that waits")
    assert each < 2048


def test_asking_about_all_that_wait_opens_two_files_however_many_they_are(
    machine: Machine, opened: Callable[[Callable[[], object]], list[str]]
) -> None:
    names = fill(machine, 2000)
    found: dict[str, str] = {}
    seen = opened(lambda: found.update(board.waiting(str(machine.root), names)[0]))
    assert len(found) == 2000
    assert seen == [f"open {machine.root}/queue", f"os.listdir {machine.root}/tasks"]


def test_asking_about_one_that_waits_opens_as_much_beside_many_as_beside_few(
    machine: Machine, opened: Callable[[Callable[[], object]], list[str]]
) -> None:
    names = fill(machine, 5)
    machine.report(names[-1])  # the imports
    few = opened(lambda: machine.report(names[-1]))
    finish(machine, 3000)
    for _ in range(2000):
        machine.stage("true")
    machine.serve()
    until("all wait", lambda: len(board.read(str(machine.root))) == 2005, 60)
    assert opened(lambda: machine.report(names[-1])) == few


def test_one_more_task_opens_as_much_beside_many_as_beside_few(
    machine: Machine, opened: Callable[[Callable[[], object]], list[str]]
) -> None:
    fill(machine, 5)
    machine.submit("true")  # the imports
    name = machine.stage("true")
    few = opened(lambda: queue.ensure_serving(str(machine.root), name))
    finish(machine, 3000)
    for _ in range(2000):
        machine.stage("true")
    machine.serve()
    until("all wait", lambda: len(board.read(str(machine.root))) == 2007, 60)
    name = machine.stage("true")
    assert opened(lambda: queue.ensure_serving(str(machine.root), name)) == few


def test_who_is_next_is_decided_by_the_first_of_each_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "machine.json").write_text('{"cpus": 4, "max_tasks": 4}')
    slots, line = Slots(str(tmp_path)), Line()
    kinds = [Claim(1, 1, 0.0, 0), Claim(1, 0, 4.0, 0), Claim(1, 0, 2.0, 0)]
    for number in range(MANY):
        line.add(0, float(number), f"f{number}", f"t{number}", kinds[number % 3])
    slots.take("old", "old", Claim(1, 4, 1.0, 0), None)
    looks = []
    fits = Slots.fits
    monkeypatch.setattr(Slots, "fits", lambda self, wanted: looks.append(wanted) or fits(self, wanted))
    line.next(slots)
    assert len(looks) <= 3


def test_a_task_that_ends_wakes_only_those_that_wait_for_it(machine: Machine) -> None:
    machine.has(max_tasks=64)
    first, second = machine.submit("echo ready; sleep 60"), machine.submit("echo ready; sleep 60")
    after = [machine.submit("true", depends_on=[{"ref": ref, "task": ref}]) for ref in (first, second)]
    machine.running(first)
    assert queue.request_cancel(str(machine.folder(second)), 0.0)
    assert machine.wait(after[1])["reason"].startswith(f"it depends on {second}")
    assert not os.path.exists(f"{machine.folder(after[0])}/final.json")
