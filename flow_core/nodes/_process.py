"""The runner's processes on this machine: start them, ask them for things."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from flow_core import runner
from flow_core.errors import ConfigError, NotFoundError, StateError, TransientError
from flow_core.nodes._report import at_home, report
from flow_core.runner import bundle, files, pending, process, queue, record
from flow_core.types import ShellSession

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RUNNER = ".runner."
_HERE = "127.0.0.1"  # all ranks that are spawned are on this machine
# The shell is gone at once and init reaps the runner. That one ignores SIGINT then; what it starts does not.
_DETACHED = '"$@" >/dev/null & echo $!'


def spawn(folder: Path, rank: int) -> None:
    """Start the runner of one rank of a staged task, detached: in its own session, without any of our descriptors.

    Does nothing while that rank's runner lives or when the task has ended. A rank whose runner was killed is taken
    over by the new one, never started a second time in an attempt. Raises NotFoundError without a folder, StateError
    when it cannot be started.
    """
    fd = _open(folder, f"{_RUNNER}{rank}")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if _is_wanted(str(folder)) and not _lives(os.pread(fd, 256, 0)):
            pid = _detach(runner.command("run", str(folder), str(rank)))
            os.ftruncate(fd, 0)
            os.pwrite(fd, _identity(pid), 0)
    finally:
        os.close(fd)


def _is_wanted(folder: str) -> bool:
    return record.read_final(folder) is None or pending.is_pending(folder)


def _open(folder: Path, name: str) -> int:
    try:
        return os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise NotFoundError(f"there is no task folder {folder}", "stage the task first") from None
    except OSError as error:
        raise StateError(f"cannot write in {folder}: {error.strerror}", "free some space") from error


def _detach(argv: Sequence[str]) -> int:
    import subprocess

    try:
        done = subprocess.run(
            ["/bin/sh", "-c", _DETACHED, "flow", *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**_environment(), "FLOW_RUNNER_MASTER": _HERE},
            start_new_session=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise StateError(f"the runner cannot be started: {error}", "try again when the machine has room") from error
    return int(done.stdout)


def resume_upload(folder: Path) -> None:
    """Start what brings a task's results to their store, unless it runs. Raises StateError."""
    import subprocess

    argv = runner.command("upload", str(folder), "detach")
    try:
        subprocess.run(argv, stdin=subprocess.DEVNULL, cwd="/", env=_environment(), check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise StateError(f"the upload cannot be started: {error}", "try again when the machine has room") from error


def _environment() -> dict[str, str]:
    """Ours, less what would mark the runner as part of a task that we are in: it would be ended with that one."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FLOW_TASK_")}


def _identity(pid: int) -> bytes:
    found = process.stat(pid)
    return f"{process.host()} {process.boot_id()} {pid} {found.started if found else 0}".encode()


def _lives(identity: bytes) -> bool:
    words = identity.decode().split()
    if len(words) != 4:
        return False
    if words[0] != process.host():
        return True  # of another machine that shares the folder: not ours to judge
    return words[1] == process.boot_id() and process.is_alive(int(words[2]), int(words[3]))


def serve(root: Path, request_id: str = "") -> None:
    """Have the queue of ``root`` take the task staged in ``root/tasks``; start it when nobody serves. Returns at once.

    Without a request it looks at all tasks. Raises TransientError when the queue does not answer, StateError when it
    cannot be started.
    """
    try:
        queue.ensure_serving(str(root), request_id)
    except TimeoutError as error:
        raise TransientError(f"the queue of {root} does not answer", f"see {root}/serve.log, then try again") from error
    except OSError as error:
        raise StateError(f"the queue of {root} cannot be started: {error}", "free some space or processes") from error


def cancel(folder: Path, grace_seconds: float) -> bool:
    """Ask the task to end: True when it will, False when it had ended. Raises NotFoundError when there is no such task.

    ``grace_seconds`` lie between the stop signal and SIGKILL. A second call with less grace ends it sooner.
    """
    # A task may have ended before anybody has written that it has.
    asked = not report(folder).is_final and at_home(
        folder, lambda place: queue.request_cancel(str(place), grace_seconds)
    )
    if asked:
        _wake(folder)
    return asked


def signal(folder: Path, name: str) -> None:
    """Send a signal (``INT``) to a task's processes; nothing happens when it has ended. Raises ConfigError."""
    try:
        asked = at_home(folder, lambda place: queue.request_signal(str(place), name))
    except ValueError as error:
        raise ConfigError(str(error), "name it as INT, USR1 or TERM") from error
    if asked:
        _wake(folder)


def _wake(folder: Path) -> None:
    """A wish needs somebody to fulfil it: a queue or runners that were killed are started again."""
    root = folder.parent.parent
    if folder.parent.name == "tasks" and (root / "serve.lock").exists():
        serve(root, folder.name)
    for rank in _spawned(folder):
        spawn(folder, rank)


def revive(folder: Path) -> None:
    """Start the runners of a spawned task again where every one of them was killed; none can be: nothing happens."""
    with suppress(OSError, StateError, NotFoundError):
        ranks = _spawned(folder)
        if not any(_lives((folder / f"{_RUNNER}{rank}").read_bytes()) for rank in ranks):
            for rank in ranks:
                spawn(folder, rank)


def _spawned(folder: Path) -> list[int]:
    """The ranks that were spawned; of a folder that a queue has put away none."""
    with suppress(FileNotFoundError):
        return sorted(int(name[len(_RUNNER) :]) for name in os.listdir(folder) if name.startswith(_RUNNER))
    return []


def ports(folder: Path, rank: int) -> dict[str, int]:
    """Return the ports of a rank by name; empty before it has begun. Raises StateError for a folder that is damaged."""
    folder.stat()
    try:
        return files.ports(str(folder), rank)
    except bundle.BundleError as error:
        raise StateError(str(error), "submit the task again") from error


def session(folder: Path, rank: int, argv: Sequence[str]) -> ShellSession:
    """Return what to start here to run ``argv`` in the environment of ``rank``."""
    folder.stat()
    return ShellSession(tuple(runner.command("exec", str(folder), str(rank), "--", *argv)))
