"""Services on this machine: ready, restarted, and reached from here."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

from flow_core import Flow, NotFoundError, Task, UnavailableError

SERVER = [
    sys.executable,
    "-u",
    "-c",
    "import http.server as h, os, sys\n"
    "h.HTTPServer(('127.0.0.1', int(os.environ['FLOW_PORT_WEB'])), h.SimpleHTTPRequestHandler).serve_forever()",
]
HEALTH = {"http": "/", "interval": 0.2}


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


def serve(flow: Flow, **fields: object) -> Task:
    task = flow.submit(SERVER, ports=["web=0"], health=HEALTH, **fields)  # type: ignore[arg-type]
    until(lambda: task.ready)
    return task


def test_a_ready_service_is_reached_by_the_name_of_its_port(flow: Flow, project: Path) -> None:
    (project / "hello.txt").write_text("hello")
    task = serve(flow)

    host, port = task.forward("web")
    with urlopen(f"http://{host}:{port}/hello.txt") as answer:
        assert answer.read() == b"hello"
    assert task.forward(port) == (host, port)
    assert task.reason == "ready"


def test_plugins_are_told_that_it_is_ready(flow: Flow) -> None:
    task = serve(flow)
    kinds = [row.event.kind for row in flow.session.journal.events(task.id)]
    assert kinds.count("task.ready") == 1


def test_a_port_that_it_does_not_have_is_named(flow: Flow) -> None:
    task = serve(flow)
    with pytest.raises(NotFoundError, match="no port named 'main'"):
        task.forward("main")


def test_a_task_that_has_ended_has_no_ports(flow: Flow) -> None:
    task = flow.submit("true", ports=["web=0"])
    task.wait()
    with pytest.raises(UnavailableError, match="succeeded"):
        task.forward("web")


def test_each_node_has_a_port_of_its_own(flow: Flow) -> None:
    task = serve(flow, num_instances=2)
    assert task.forward("web", 0) != task.forward("web", 1)


def test_a_killed_service_is_started_again_at_the_same_address(flow: Flow) -> None:
    task = serve(flow, restart="on-failure")
    address = task.forward("web")

    pid = next(
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
        and b"FLOW_TASK_ID=" + task.id.encode() in _environ(entry)
        and b"sh\0" not in _argv(entry)
    )
    os.kill(pid, signal.SIGKILL)
    until(lambda: len(task.attempts) == 2 and task.ready)

    assert task.forward("web") == address
    assert task.attempts[0].exit_code == 137


def _environ(entry: Path) -> bytes:
    try:
        return (entry / "environ").read_bytes()
    except OSError:
        return b""


def _argv(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()[:3]
    except OSError:
        return b""


def test_an_unhealthy_service_fails_and_its_exit_status_says_so(flow: Flow) -> None:
    task = flow.submit(
        "trap 'exit 0' TERM; sleep 60 & wait", health={"command": "exit 1", "interval": 0.1, "failures": 1}
    )
    assert task.wait(timeout=20) == 1
    assert (task.status, task.reason) == ("failed", "unhealthy: exit code 1")
