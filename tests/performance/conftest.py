"""A home of its own for each test, and processes as the kernel shows them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 20.0  # seconds


@attrs.frozen
class Process:
    """One process of /proc."""

    pid: int
    parent: int
    argv: tuple[str, ...]

    @property
    def is_python(self) -> bool:
        """Whether it is an interpreter."""
        return "python" in Path(self.argv[0]).name if self.argv else False

    @property
    def sleeps(self) -> int:
        """How often it went to sleep by itself so far: each but the first follows a wake-up (proc(5))."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("voluntary_ctxt_switches")))


def processes() -> Iterator[Process]:
    """Yield every process, without zombies."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                argv = entry.joinpath("cmdline").read_bytes().split(b"\0")[:-1]
                parent = int(entry.joinpath("stat").read_bytes().rpartition(b")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if argv:
                yield Process(int(entry.name), parent, tuple(os.fsdecode(word) for word in argv))


def descendants(pid: int) -> list[Process]:
    """Return the processes below ``pid``."""
    found, everyone = [pid], list(processes())
    below: list[Process] = []
    while found:
        children = [process for process in everyone if process.parent in found]
        below += children
        found = [process.pid for process in children]
    return below


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Return as soon as ``true`` is; fails when it never is."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.01)


@attrs.frozen
class Home:
    """A fresh ``FLOW_HOME``."""

    folder: Path

    @property
    def root(self) -> Path:
        """Where the queue of this machine is."""
        return self.folder / "state" / "local"

    def server(self) -> Process | None:
        """Return the process that serves the queue; None when there is none."""
        return next((p for p in processes() if p.is_python and "serve" in p.argv and str(self.root) in p.argv), None)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Have this process and those it starts use a fresh home, without what the user has set."""
    for name in [name for name in os.environ if name.startswith("FLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


@pytest.fixture
def look() -> type[Look]:
    """Return what tests ask of processes."""
    return Look


class Look:
    """The functions of this file, for tests: files of tests import nothing."""

    below = staticmethod(descendants)
    until = staticmethod(wait_until)
