"""What this client knows of the tasks it sent: which order is whose, what is still to be delivered, what was fetched.

One folder, ``mithril`` in Flow's state folder: ``tasks/<request>.json``, ``outbox/<request>/`` (a task staged until its
machine has it), ``kept/<request>/`` (what was fetched from a machine before that went), ``warm/<request>`` (its machine
is kept), ``holders/<order>`` (a link: the request that took a kept machine).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from flow_core.settings import make_folder, paths

_ABANDONED = 7200.0  # seconds
_SWEEP_EVERY = 3600.0  # seconds


@attrs.frozen
class Record:
    """One request; ``fid`` is empty until the order is known to be placed. Times are UTC seconds.

    ``key`` is the id of the key that was minted for its machine, ``minting`` whether one may have been.
    """

    request: str
    task: str = ""
    kind: str = "bid"
    fid: str = ""
    project: str = ""
    nodes: int = 1
    price: str = ""
    at: float = attrs.field(factory=time.time)
    delivered: bool = False
    start: bool = False
    """Whether its machine fetches the task from a result store."""
    keys_url: str = ""
    """Where the machine brings its host keys, until they were fetched."""
    host_keys: list[str] = attrs.field(factory=list)
    ran: bool = False
    attempt: int = 0
    up_at: float = 0.0
    cancelled: bool = False
    keep: float = 0.0
    key: str = ""
    minting: bool = False
    token: str = ""
    fault: str = ""
    name: str = ""
    volumes: list[dict[str, Any]] = attrs.field(factory=list)
    on: str = ""
    """The request whose kept machine this task was given; empty: its own."""
    fits: str = ""
    """What its machines are, for a next task that takes them."""
    kept_at: float = 0.0
    config: dict[str, Any] = attrs.field(factory=dict)

    @property
    def ref(self) -> str:
        """The task's id at the platform: its order's; on a kept machine, which is another task's order, with its own."""
        return f"{self.fid}+{self.request}" if self.on else self.fid


class Records:
    """The folder; every change of a record is one rename."""

    def __init__(self, root: Path | None = None) -> None:
        self._given = root

    @property
    def root(self) -> Path:
        """The folder (0700)."""
        return self._given or paths().state_dir / "mithril"

    @property
    def outbox(self) -> Path:
        """Where tasks are staged until they are delivered."""
        return self.root / "outbox"

    def kept(self, request: str) -> Path:
        """Where what was fetched of a task lies."""
        return self.root / "kept" / request

    def get(self, request: str) -> Record:
        """Return what is known of a request; an empty record when nothing is."""
        try:
            known = json.loads((self.root / "tasks" / f"{request}.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return Record(request)
        names = {field.name for field in attrs.fields(Record)}
        return Record(**{name: value for name, value in known.items() if name in names})

    def change(self, request: str, **changes: Any) -> Record:
        """Change what is known of a request, alone among all processes of this user."""
        with self.alone(f"record-{request}"):
            record = attrs.evolve(self.get(request), **changes)
            folder = self.root / "tasks"
            make_folder(folder)
            new = folder / f".{request}.{os.getpid()}"
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
                json.dump(attrs.asdict(record), file)
            new.rename(folder / f"{request}.json")
            self._name(record)
            return record

    def _name(self, record: Record) -> None:
        folder = self.root / "orders"
        if record.fid and not (folder / record.fid).is_symlink():
            make_folder(folder)
            with suppress(FileExistsError):
                (folder / record.fid).symlink_to(record.request)

    def all(self) -> Iterator[Record]:
        """Yield every record."""
        for path in sorted((self.root / "tasks").glob("flow-*.json")):
            yield self.get(path.stem)

    def of(self, ref: str) -> Record | None:
        """Return the record of a task's id; where that is an order's, its file is linked under that name."""
        fid, _, request = ref.partition("+")
        try:
            name = request or os.readlink(self.root / "orders" / fid)
        except (OSError, ValueError):
            return None
        found = self.get(name) if ref.isascii() and "/" not in ref else None
        return found if found is not None and found.fid else None

    def warm(self) -> list[Record]:
        """Return the ended tasks whose machines are kept, the last one first."""
        found = [self.get(mark.name) for mark in (self.root / "warm").glob("flow-*")]
        return sorted(found, key=lambda record: -record.kept_at)

    def is_warm(self, request: str) -> bool:
        """Whether a task's machines are kept, as far as is known here."""
        return (self.root / "warm" / request).exists()

    def keep(self, request: str) -> None:
        """Note that a task has ended and its machines are kept."""
        self.change(request, kept_at=time.time())
        make_folder(self.root / "warm")
        (self.root / "warm" / request).touch(0o600)

    def cool(self, request: str) -> None:
        """Note that a task's machines are no longer to be had."""
        (self.root / "warm" / request).unlink(missing_ok=True)

    def hold(self, fid: str, request: str) -> None:
        """Note which task has the machines of an order."""
        folder = self.root / "holders"
        make_folder(folder)
        new = folder / f".{fid}.{os.getpid()}"
        new.unlink(missing_ok=True)
        new.symlink_to(request)
        new.rename(folder / fid)

    def holder(self, fid: str) -> Record | None:
        """Return the last task that was given the kept machines of an order; None: they are their first one's."""
        try:
            found = self.get(os.readlink(self.root / "holders" / fid))
        except OSError:
            return None
        return found if found.fid == fid else None  # else its client was killed before it had them

    def holds(self, record: Record) -> bool:
        """Whether this task is the last that was given its machines."""
        last = self.holder(record.fid)
        return last.request == record.request if last else not record.on

    def waiting(self) -> list[Record]:
        """Return the tasks that are staged here, oldest first."""
        return sorted((self.get(folder.name) for folder in self.outbox.glob("flow-*")), key=lambda record: record.at)

    def is_waiting(self, request: str) -> bool:
        """Whether a task is staged here and its machine has not got all of it."""
        return (self.outbox / request / "bundle.json").is_file()

    def drop_staged(self, request: str) -> None:
        """Remove a staged task with its code and secrets."""
        shutil.rmtree(self.outbox / request, ignore_errors=True)

    def sweep(self, keep: float) -> None:
        """Remove what was staged for nothing, what was fetched more than ``keep`` seconds ago, and idle locks; hourly."""
        mark = self.root / "swept"
        if _age(mark) < _SWEEP_EVERY:
            return
        make_folder(self.root)
        mark.touch(0o600)
        for folder in self.outbox.glob("flow-*"):
            if not self.get(folder.name).fid and min(time.time() - self.get(folder.name).at, _age(folder)) > _ABANDONED:
                self.drop_staged(folder.name)
        for kept in (self.root / "kept").glob("flow-*"):
            if _age(kept / "final.json") > keep and _age(kept) > keep:
                self._forget(kept.name)
        for lock in (self.root / "locks").glob("*"):
            if _age(lock) > _ABANDONED:
                with suppress(BlockingIOError), self.alone(lock.name, wait=False):
                    lock.unlink(missing_ok=True)

    def _forget(self, request: str) -> None:
        """Remove all traces of an ended task; its order, which others may have been given, keeps its name."""
        self.cool(request)
        shutil.rmtree(self.kept(request), ignore_errors=True)

    @contextmanager
    def alone(self, name: str, wait: bool = True) -> Iterator[None]:
        """Be the only one who does this; without ``wait`` BlockingIOError when another does."""
        folder = self.root / "locks"
        make_folder(folder)
        fd = self._locked(folder / name, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        try:
            yield
        finally:
            os.close(fd)

    def _locked(self, path: Path, how: int) -> int:
        """Lock a file that is still the one of this name: the sweep removes those that nobody has."""
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, how)
                if os.path.samestat(os.fstat(fd), os.stat(path)):
                    os.utime(fd)
                    return fd
            except FileNotFoundError:  # removed since it was opened
                pass
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)


def _age(path: Path) -> float:
    """Seconds since a file or folder was last changed; one that is not there is as old as can be."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")
