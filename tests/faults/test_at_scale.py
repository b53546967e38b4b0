"""Many of everything at once. ``FLOW_SOAK=1`` has the large numbers; the small ones show the same faults."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flow_core import Flow, Task

SOAK = bool(os.environ.get("FLOW_SOAK"))
TASKS = 100 if SOAK else 24
FOLLOWERS = 100 if SOAK else 20
PAUSE = 1.0 if SOAK else 0.2
LINES = 200_000 if SOAK else 20_000
LINE = 100 * 10**6
FLOOD = 10 * 10**9 if SOAK else 10**9
FLAT = 60 << 20  # bytes of memory that reading or serving any log may take more than reading none


def _digest(task: Task, follow: bool = False) -> str:
    found = hashlib.sha256()
    for chunk in task.logs(follow=follow):
        found.update(chunk.data)
    return found.hexdigest()


def _memory(pid: int, name: str = "VmHWM") -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _holds(machine: Any, count: int) -> bool:
    """Whether a server follows so many tasks, each by its watcher and its command."""
    found = [pid for pid, role in machine.processes().items() if role == "serve"]
    try:
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for pid in found for fd in os.listdir(f"/proc/{pid}/fd")]
    except FileNotFoundError:
        return False
    return sum("pidfd" in link for link in links) >= 2 * count


def test_helpers_killed_while_many_tasks_run_take_nothing_with_them(flow: Flow, machine: Any, eventually: Any) -> None:
    lines = f"i=0; while [ $i -lt 40 ]; do echo line-$i; i=$((i+1)); sleep {PAUSE}; done"
    right = hashlib.sha256("".join(f"line-{number}\n" for number in range(40)).encode()).hexdigest()
    tasks = [flow.submit(f"{lines}; exit {number}", cpus=0.001) for number in range(TASKS)]
    eventually(lambda: list(machine.processes().values()).count("watcher") == TASKS)
    follower = subprocess.Popen(
        [sys.executable, "-m", "flow_core", "logs", "-f", tasks[0].id], stdout=subprocess.DEVNULL
    )
    killed = 0
    # The watchers last: where nobody watches while the command ends, nobody can know how (docs/durability.md).
    for roles in (("guardian",), ("serve",), ("serve", "guardian"), ("serve",), ("watcher",)):
        flow.refresh()  # whoever looks starts again what was killed
        eventually(lambda: "serve" in machine.processes().values())
        if "watcher" in roles:
            eventually(lambda: _holds(machine, TASKS))
        killed += machine.kill(*roles)
        time.sleep(random.Random(killed).uniform(0.05, 0.3))
    follower.kill()
    follower.wait()

    assert [task.wait(timeout=120) for task in tasks] == list(range(TASKS))
    assert {_digest(task) for task in tasks} == {right}
    assert killed > TASKS
    assert flow.submit("true", cpus=float(len(os.sched_getaffinity(0)))).wait(timeout=30) == 0  # no share is lost
    eventually(lambda: machine.processes() == {})


def test_followers_get_all_and_one_that_stops_reading_holds_up_nobody(flow: Flow, project: Path) -> None:
    talk = f"import sys\nfor n in range({LINES}): sys.stdout.write('line %d\\n' % n)"
    right = hashlib.sha256("".join(f"line {number}\n" for number in range(LINES)).encode()).hexdigest()
    task = flow.submit(["sh", "-c", f'while [ ! -e go ]; do sleep 0.02; done; exec "{sys.executable}" -c "{talk}"'])
    stalled = subprocess.Popen(
        [sys.executable, "-m", "flow_core", "logs", "-f", task.id], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    got: list[str] = []
    one = threading.Lock()

    def follow() -> None:
        found = _digest(Flow().task(task.id), follow=True)
        with one:
            got.append(found)

    threads = [threading.Thread(target=follow) for _ in range(FOLLOWERS)]
    for thread in threads:
        thread.start()
    (project / "go").touch()
    for thread in threads:
        thread.join(timeout=300)
    stalled.kill()
    stalled.communicate()

    assert got == [right] * FOLLOWERS
    assert task.wait(timeout=30) == 0


@pytest.mark.parametrize("words", [(), ("--timestamps",)], ids=["bytes", "lines"])
def test_a_line_of_a_hundred_million_bytes_comes_whole_in_little_memory(flow: Flow, words: tuple[str, ...]) -> None:
    task = flow.submit(f"head -c {LINE} /dev/zero | tr '\\0' x; echo; echo end")
    assert task.wait(timeout=60) == 0
    reading = subprocess.Popen(
        [sys.executable, "-m", "flow_core", "logs", *words, task.id], stdout=subprocess.PIPE, bufsize=0
    )
    assert reading.stdout is not None
    size, most, last = 0, 0, b""
    while data := reading.stdout.read(1 << 20):
        size, last = size + len(data), (last + data)[-100:]
        most = max(most, _memory(reading.pid) if reading.poll() is None else 0)

    reading.stdout.close()
    assert reading.wait() == 0
    assert size >= LINE
    assert last.endswith(b"end\n")
    print(f"{words}: {most >> 20} MiB at most")
    assert most < FLAT + (60 << 20)


def test_a_task_that_writes_without_end_costs_its_server_no_memory(flow: Flow, machine: Any, eventually: Any) -> None:
    flow.submit("true").wait()
    task = flow.submit(f"head -c {FLOOD} /dev/zero")
    eventually(lambda: "serve" in machine.processes().values())
    (server,) = [pid for pid, role in machine.processes().items() if role == "serve"][:1]
    reader = Flow().task(task.id)
    size = 0
    for chunk in reader.logs(follow=True):
        size += len(chunk.data)

    assert size == FLOOD
    assert _memory(server) < FLAT
    print(f"server {_memory(server) >> 20} MiB, reader {_memory(os.getpid()) >> 20} MiB")
    assert task.wait(timeout=60) == 0
