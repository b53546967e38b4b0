"""The folder that a contract's tests live in, and the proof that nothing of theirs outlives it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

_PROC = Path("/proc")


@attrs.frozen
class Process:
    """A process of this machine: its id and command line."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.pid}: {self.command[:200]}"


def sees_processes() -> bool:
    """Say whether this platform shows the processes that there are."""
    return (_PROC / "self" / "environ").exists()


def processes(mark: str) -> list[Process]:
    """Return the processes of this machine, but for this one, that carry ``mark`` in arguments or environment."""
    found = (_process(entry, mark.encode()) for entry in _PROC.iterdir() if entry.name.isdigit())
    return [process for process in found if process is not None and process.pid != os.getpid()]


def _process(entry: Path, mark: bytes) -> Process | None:
    try:
        argv, environ = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
    except OSError:  # it ended, or is somebody else's
        return None
    if mark not in argv and mark not in environ:
        return None
    return Process(int(entry.name), argv.replace(b"\0", b" ").decode(errors="replace").strip())


class Ground:
    """A short folder (socket paths are limited to 107 bytes) for the homes of one contract's tests."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="flow-kit-"))
        self.site = self.path / "site"
        self._homes = 0

    def home(self) -> Path:
        """Return a new, empty Flow home."""
        self._homes += 1
        home = self.path / f"h{self._homes}"
        home.mkdir(mode=0o700)
        return home

    def install(self, group: str, name: str, cls: type) -> None:
        """Make ``cls`` an installed plugin for whoever has :attr:`site` on the path."""
        if not _importable(cls):
            raise TypeError(f"{cls.__module__}.{cls.__qualname__} cannot be imported by its name: put it into a module")
        info = self.site / "flow_kit_subject-1.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: flow-kit-subject\nVersion: 1\n", encoding="utf-8")
        entry = f"[{group}]\n{name} = {cls.__module__}:{cls.__qualname__}\n"
        (info / "entry_points.txt").write_text(entry, encoding="utf-8")

    def leave(self, linger: float) -> list[Process]:
        """Remove everything; return (and end) the processes that were still there after ``linger`` seconds."""
        left = list(self._left(linger)) if sees_processes() else []
        for process in left:
            _kill(process.pid)
        shutil.rmtree(self.path, ignore_errors=True)
        return left

    def _left(self, linger: float) -> Iterator[Process]:
        deadline = time.monotonic() + linger
        while (found := processes(str(self.path))) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield from found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _importable(cls: type) -> bool:
    found: object = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is cls
