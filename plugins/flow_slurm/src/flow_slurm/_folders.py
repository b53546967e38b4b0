"""The tasks' folders on the file system that the cluster's nodes share, seen from this machine."""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from zipfile import ZipFile

from flow_core import NodeAccess, NotFoundError, StateError, Submission, TaskListing, TaskReport, nodes, runner
from flow_slurm._refs import Name

ABANDONED = 3600.0  # seconds after which nobody is still on the way to submit what was staged


class Folders(Protocol):
    """What is done with the tasks' folders, wherever the shared file system is seen from."""

    @property
    def root(self) -> str: ...
    def path(self, request_id: str) -> str: ...
    def install_runner(self) -> str: ...
    def stage(self, submission: Submission, files: Mapping[str, str]) -> str: ...
    def stage_array(self, name: str, files: Mapping[str, str]) -> str: ...
    def read(self, request_id: str, name: str) -> str: ...
    def remove(self, request_id: str) -> None: ...
    def report(self, request_id: str) -> TaskReport | None: ...
    def reports(self, request_ids: Sequence[str]) -> dict[str, TaskReport | None]: ...
    def conclude(self, request_id: str, report: TaskReport) -> None: ...
    def job(self, request_id: str) -> tuple[str, float] | None: ...
    def cancel(self, request_id: str, grace_seconds: float) -> bool: ...
    def cancelled_at(self, request_id: str) -> float | None: ...
    def access(self, request_id: str) -> list[NodeAccess]: ...
    def listings(self) -> Iterator[TaskListing]: ...
    def sweep(self, request_id: str) -> None: ...


class LocalFolders:
    """``ROOT/<request id>`` is a task; its file ``job`` has Slurm's id, once it is accepted."""

    def __init__(self, root: str) -> None:
        self._root = Path(os.path.abspath(os.path.expanduser(root)))

    @property
    def root(self) -> str:
        """The folder that holds all others."""
        return str(self._root)

    def path(self, request_id: str) -> str:
        """Where a task's folder is."""
        return str(self._root / request_id)

    def install_runner(self) -> str:
        """Put the runner beside the tasks, under a name of its own version; return its folder."""
        path = f"{self._root}/{self._runner.name}"
        if not os.path.isdir(path):
            self._runner.unpack(Path(path))
        return path

    @cached_property
    def _runner(self) -> Runner:
        return Runner()

    def stage(self, submission: Submission, files: Mapping[str, str]) -> str:
        """Make the folder of a task with ``files`` beside it, as its batch script; a second time nothing happens."""
        folder = nodes.stage(self._root, submission, files={name: text.encode() for name, text in files.items()})
        with suppress(FileExistsError):
            (folder / "control").mkdir(mode=0o700)
        return str(folder)

    def stage_array(self, name: str, files: Mapping[str, str]) -> str:
        """Make the folder of an array; a second time nothing happens."""
        folder = self._root / "arrays" / name
        for file, text in files.items():
            if not (folder / file).exists():
                write(folder / file, text.encode(), 0o700)
        return str(folder)

    def read(self, request_id: str, name: str) -> str:
        """Return a small file of a task; empty when there is none."""
        try:
            return (self._root / request_id / name).read_text(encoding="utf-8")
        except OSError:
            return ""

    def remove(self, request_id: str) -> None:
        """Remove the folder of a task that was refused: it may hold code and secrets."""
        shutil.rmtree(self._root / request_id, ignore_errors=True)

    def report(self, request_id: str) -> TaskReport | None:
        """Return what the folder says; None when there is none."""
        try:
            return nodes.report(self._root / request_id)
        except NotFoundError:
            return None

    def reports(self, request_ids: Sequence[str]) -> dict[str, TaskReport | None]:
        """Return what many folders say."""
        return {name: self.report(name) for name in request_ids}

    def conclude(self, request_id: str, report: TaskReport) -> None:
        """Keep how a task ended whose runner could not say it."""
        nodes.conclude(self._root / request_id, report)

    def job(self, request_id: str) -> tuple[str, float] | None:
        """Return the job's id and when it was accepted; None while that is not known."""
        path = self._root / request_id / "job"
        try:
            with open(path, encoding="ascii") as file:
                known = file.read().strip().partition(";")[0]
                return (known, os.fstat(file.fileno()).st_mtime) if known else None
        except (OSError, ValueError):
            return None

    def cancel(self, request_id: str, grace_seconds: float) -> bool:
        """Ask the runner to end the task. Raises NotFoundError."""
        return nodes.cancel(self._root / request_id, grace_seconds)

    def cancelled_at(self, request_id: str) -> float | None:
        """Return when a cancel was asked for that nobody has answered."""
        try:
            return (self._root / request_id / "control" / "cancel").stat().st_mtime
        except OSError:
            return None

    def access(self, request_id: str) -> list[NodeAccess]:
        """Say how each rank's files are reached."""
        folder = self._root / request_id
        return [NodeAccess(rank=rank, kind="folder", path=str(folder)) for rank in range(nodes.size(folder))]

    def listings(self) -> Iterator[TaskListing]:
        """Yield every task that was accepted."""
        for folder in self._root.glob("flow-*"):
            with suppress(NotFoundError):  # it was removed between the two looks
                found = nodes.listing(folder)
                if job := self.job(folder.name):
                    yield TaskListing(
                        Name(job[0], folder.name).ref,
                        found.request_id,
                        found.task_id,
                        found.name,
                        found.created_at,
                        found.config,
                    )

    def sweep(self, request_id: str) -> None:
        """Remove what was staged long ago and never submitted."""
        folder = self._root / request_id
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > ABANDONED and self.job(request_id) is None:
                self.remove(request_id)


class Runner:
    """The runner under the ``name`` of its version: as a folder, where Python keeps what it compiles."""

    def __init__(self) -> None:
        self._archive = runner.archive()
        self.name = f"runner-{sha256(self._archive).hexdigest()[:16]}"

    def unpack(self, folder: Path) -> None:
        """Make ``folder``, whole; of two that make it at once one does. Raises StateError."""
        new = folder.with_name(f".{folder.name}.{os.urandom(4).hex()}")
        try:
            new.mkdir(mode=0o755, parents=True)
            ZipFile(io.BytesIO(self._archive)).extractall(new)
            new.rename(folder)
        except OSError as error:
            if folder.is_dir():
                return
            raise _unwritten(folder, error) from error
        finally:
            shutil.rmtree(new, ignore_errors=True)


def write(path: Path, data: bytes, mode: int) -> None:
    """Put a file in place whole. Raises StateError."""
    new = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
            file.write(data)
        new.rename(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise _unwritten(path, error) from error


def _unwritten(path: Path, error: OSError) -> StateError:
    return StateError(f"cannot write {path}: {error.strerror}", "free some space, or choose another root")
