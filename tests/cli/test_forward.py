"""``flow forward``: the address of a port, and a port of one's own that leads there."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing

import pytest

ECHO = """
import os, socket, threading
server = socket.create_server(("127.0.0.1", int(os.environ["FLOW_PORT_MAIN"])))
def answer(line):
    data = b""
    while block := line.recv(65536):
        data += block
    line.sendall(data[::-1])
    line.close()
while True:
    threading.Thread(target=answer, args=(server.accept()[0],)).start()
"""


@pytest.fixture
def echo(flow) -> str:
    (flow.folder / "echo.py").write_text(ECHO)
    task = flow.submit(f"exec {sys.executable} echo.py", "--port", "0", "--name", "echo")
    end = time.monotonic() + 20
    while not answers(flow("forward", "echo", "main").out.strip()):
        assert time.monotonic() < end
    return task


def answers(address: str) -> bool:
    try:
        return ask(address, b"abc") == b"cba"
    except (OSError, ValueError):
        return False


def ask(address: str, data: bytes) -> bytes:
    """Send, end, and read to the end."""
    host, _, port = address.rpartition(":")
    with closing(socket.create_connection((host, int(port)), timeout=10)) as line:
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(65536), b""))


def listening(started: subprocess.Popen[bytes]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().decode().strip()


def test_it_prints_the_address_and_ends(flow, echo: str) -> None:
    answer = flow("forward", "echo", "main")
    assert answer.status == 0
    assert re.fullmatch(r"127\.0\.0\.1:\d+\n", answer.out)
    host, _, port = answer.out.strip().rpartition(":")
    assert flow("forward", echo, port, "--json").data == {"host": host, "port": int(port), "node": 0}


def test_a_port_of_ones_own_leads_there_both_ways(flow, echo: str) -> None:
    started = flow.start("forward", "echo", "main", "--local", "0")
    try:
        address = listening(started)
        assert address != flow("forward", "echo", "main").out.strip()
        data = bytes(range(256)) * 4000
        assert ask(address, data) == data[::-1]
        assert ask(address, b"again") == b"niaga"
    finally:
        started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=20)
    assert (started.returncode, out) == (130, b"")
    assert b"Traceback" not in err


def test_it_ends_with_the_task(flow, echo: str) -> None:
    started = flow.start("forward", "echo", "main", "--local", "0")
    listening(started)
    flow("cancel", "echo", "--grace", "0")
    _, err = started.communicate(timeout=20)
    assert started.returncode == 0
    assert b"cancelled" in err


def test_a_local_port_that_is_taken_is_named(flow, echo: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = flow("forward", "echo", "main", "--local", str(port))
    assert answer.status != 0
    assert answer.last_line.startswith("flow: error[CONFLICT]")
    assert str(port) in answer.err


def test_a_name_that_the_task_does_not_have_is_refused(flow, echo: str) -> None:
    answer = flow("forward", "echo", "http")
    assert answer.last_line == "flow: error[NOT_FOUND]: the task has no port named 'http'"


def test_one_that_does_not_run_has_no_ports(flow) -> None:
    task = flow.submit("true")
    flow("wait", task)
    assert "error[UNAVAILABLE]" in flow("forward", task, "80").last_line


def test_a_task_is_shown_as_ready(flow) -> None:
    task = flow.submit("sleep 60")
    end = time.monotonic() + 20
    while not flow("status", task, "--json").data[0]["ready"]:
        assert time.monotonic() < end
