"""A state folder of its own for each test, clients that die where a test says, and an end for all that was started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flow_core import Flow
from flow_core.types import LIVE_STATES

PATIENCE = 30.0  # seconds until something that must happen is taken to be missing

_DYING = """
import os, signal, sys
import flow_core, flow_core.faces, flow_core.nodes, flow_core.nodes._stage
from flow_core import Flow
from flow_core.journal import Journal

def die_in(place, name):
    def die(*_arguments, **_named):
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(place, name, die)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("FLOW_HOME", str(folder))
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def flow(home: Path, project: Path) -> Iterator[Flow]:
    yield Flow()
    last = Flow()
    for task in last.tasks(limit=None, states=LIVE_STATES):
        task.cancel(grace=0.0)
    _eventually(lambda: last.refresh() == {} and not last.tasks(states=LIVE_STATES))


@pytest.fixture
def client(home: Path, project: Path) -> Callable[[str], int]:
    """Run a program as another process to its end; return its exit code, minus N when signal N killed it."""

    def run(program: str) -> int:
        argv = [sys.executable, "-c", _DYING + textwrap.dedent(program)]
        return subprocess.run(argv, check=False, timeout=PATIENCE).returncode

    return run


def _eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Wait until something is true; fail when it never is."""
    return _eventually


class Machine:
    """The processes of one state folder: ``serve``, ``guardian``, ``watcher`` and ``command``."""

    def __init__(self, home: Path) -> None:
        self._mark = os.fsencode(home / "state") + b"/"

    def processes(self) -> dict[int, str]:
        """Role by pid."""
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and int(entry.name) != os.getpid():
                    line, environ = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
                    if self._mark in line.replace(b"\0", b"/") or self._mark in environ:
                        found[int(entry.name)] = _role(line)
            except OSError:
                continue
        return found

    def kill(self, *roles: str) -> int:
        """Kill what has one of these roles; return how many there were."""
        chosen = [pid for pid, role in self.processes().items() if role in roles]
        for pid in chosen:
            os.kill(pid, signal.SIGKILL)
        return len(chosen)


def _role(line: bytes) -> str:
    for role, sign in (("guardian", b"read -r bye"), ("watcher", b"echo w $$"), ("serve", b"\0serve\0")):
        if sign in line:
            return role
    return "command"


@pytest.fixture
def machine(home: Path) -> Machine:
    return Machine(home)
