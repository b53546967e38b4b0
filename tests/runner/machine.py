"""A machine of our own in a temporary folder, with real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flow_core.runner import outcome, queue, record

Doc = dict[str, Any]
DEADLINE = 20.0


def bundle(name: str, shell: str | None = None, **keys: Any) -> Doc:
    """A bundle as a client writes it."""
    doc: Doc = {
        "schema": "flow.bundle/1",
        "task_id": "t-" + name,
        "request_id": name,
        "num_instances": 1,
        "code": {"mode": "none"},
        "created_at": time.time(),
    }
    if shell is not None:
        doc["command"] = {"shell": shell}
    return {**doc, **keys}


def until(what: str, true: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """Wait for an event, and fail with its name when it does not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def marked(text: str, where: str = "environ") -> list[int]:
    """Processes with this text in their environment or command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                data = (entry / where).read_bytes()
            except OSError:
                continue
            if text.encode() in data and alive(int(entry.name)):
                found.append(int(entry.name))
    return found


class Machine:
    """A root that is served on demand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "tasks").mkdir(parents=True)
        self.has(max_tasks=64)
        self._count = 0

    def has(self, **keys: Any) -> None:
        """Say what the machine has."""
        (self.root / "machine.json").write_text(json.dumps(keys))

    def stage(self, shell: str | None = None, secrets: Mapping[str, str] | None = None, **keys: Any) -> str:
        """Put a task's folder in place without telling anybody."""
        self._count += 1
        name = keys.pop("name", f"flow-{self._count:05d}")
        new = self.root / "tasks" / f".{name}.new"
        new.mkdir(mode=0o700)
        if "bundle_secrets" in keys:
            keys["secrets"] = keys.pop("bundle_secrets")
        (new / "bundle.json").write_text(json.dumps(bundle(name, shell, **keys)))
        if secrets is not None:
            (new / "secrets").touch(0o600)
            (new / "secrets").write_text(json.dumps(secrets))
        new.rename(self.root / "tasks" / name)
        return name

    def submit(self, shell: str | None = None, **keys: Any) -> str:
        """Stage a task and have it served."""
        name = self.stage(shell, **keys)
        queue.ensure_serving(str(self.root), name)
        return name

    def serve(self) -> None:
        """Have somebody serve."""
        queue.ensure_serving(str(self.root))

    def folder(self, task: str) -> Path:
        return Path(record.locate(str(self.root), task) or "/nonexistent")

    def report(self, task: str) -> Doc:
        while True:
            try:
                return outcome.report(str(self.folder(task)))
            except FileNotFoundError:
                continue

    def exit(self, task: str, attempt: int = 1, rank: int = 0) -> record.Exit:
        while True:
            folder = self.folder(task)
            found = record.read_exit(record.attempt_dir(str(folder), attempt, rank) + "/exit")
            if folder.is_dir():
                return found

    def wait(self, task: str, seconds: float = DEADLINE) -> Doc:
        """The final report."""
        found: Doc = until(f"the end of {task}", lambda: record.read_final(str(self.folder(task))), seconds)
        return found

    def run(self, shell: str | None = None, **keys: Any) -> Doc:
        return self.wait(self.submit(shell, **keys))

    def running(self, task: str, rank: int = 0, attempt: int = 1) -> int:
        """Wait for the command's own first word, ``ready``, and give its watcher's pid."""
        path = f"attempts/{attempt}/{rank}/stdout"
        until(f"{task} is ready", lambda: _starts(self.folder(task) / path, b"ready\n"))
        watcher = self.exit(task, attempt, rank).watcher
        assert watcher is not None
        return watcher

    def watcher(self, task: str) -> int:
        pid = self.exit(task).watcher
        assert pid
        return pid

    def output(self, task: str, stream: str = "stdout", rank: int = 0, attempt: int = 1) -> bytes:
        while True:
            folder = self.folder(task)
            try:
                return (folder / f"attempts/{attempt}/{rank}/{stream}").read_bytes()
            except FileNotFoundError:
                if folder == self.folder(task):  # else it has just moved to where ended tasks are
                    raise

    def servers(self) -> list[int]:
        """Who serves this root."""
        found = [pid for pid in self._ours() if b"python" in _argv(pid)[0]]
        # A child between fork and exec still looks like its parent.
        return [pid for pid in found if _parent(pid) not in found]

    def guardians(self) -> list[int]:
        return [pid for pid in self._ours() if b"read -r bye" in b" ".join(_argv(pid))]

    def _ours(self) -> list[int]:
        return [pid for pid in marked(str(self.root), "cmdline") if b"serve" in _argv(pid)]

    def kill_server(self, *others: int) -> None:
        """Kill who serves now, with these at the same time."""
        pids = [*until("a server", self.servers), *others]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        until("the server's end", lambda: not any(map(alive, pids)))

    def processes(self) -> list[int]:
        """All processes of tasks of this machine."""
        return marked(f"FLOW_TASK_DIR={self.root}")

    def close(self) -> None:
        for _ in range(100):
            left = {*self._ours(), *self.processes()}
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if not left:
                return
            time.sleep(0.01)


def _argv(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return [b""]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _starts(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes().startswith(data)
    except OSError:
        return False


SHELLS = {
    "dash": shutil.which("dash"),
    "bash": shutil.which("bash"),
    "busybox": shutil.which("busybox") and f"{shutil.which('busybox')} sh",
}
