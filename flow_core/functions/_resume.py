"""What earlier runs of a map under the same name have done: read once from what their workers kept."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from flow_core.errors import ConflictError, StateError
from flow_core.functions._items import Frames, Item, Told
from flow_core.functions._worker import OUTBOX, dismiss
from flow_core.functions.node import envelope

if TYPE_CHECKING:
    from flow_core.client import Flow, Task
    from flow_core.functions._invoke import Wanted

_NAME, _FUNCTION = "flow.map", "flow.map.function"
_AT_HAND = 300.0  # seconds for the items at hand of workers that an earlier run has left


def labels(wanted: Wanted, name: str | None) -> dict[str, str]:
    """Return what the workers of a named map are found by."""
    return {} if name is None else {_NAME: name, _FUNCTION: wanted.title}


class Past:
    """The values that are there, by the number of their item, in a file; ``tasks`` are the workers that made them."""

    def __init__(self, file: BinaryIO, tasks: list[Task[Any]]) -> None:
        self._file = file
        self._index: dict[int, tuple[str, int, int]] = {}  # digest, offset, size
        for task in tasks:
            self._read(task)

    def has(self, item: Item) -> bool:
        """Say whether this very item has been done."""
        return self._index.get(item.number, ("", 0, 0))[0] == item.digest

    def told(self, number: int) -> Told:
        """Return what was said of an item."""
        _, offset, size = self._index[number]
        self._file.seek(offset)
        return envelope.open_parts(memoryview(bytearray(self._file.read(size))))

    def _read(self, task: Task[Any]) -> None:
        frames: dict[int, Frames] = {}
        try:
            for chunk in task.read(False, None, [0], (OUTBOX,), lambda: None):
                for header, parts in frames.setdefault(chunk.attempt, Frames()).feed(chunk.data):
                    if header["kind"] == "value":
                        self._keep(header, parts)
        except envelope.DamagedError as error:
            hint = "run the map under another name"
            raise StateError(f"what the worker {task.id} kept is damaged: {error}", hint) from error

    def _keep(self, header: envelope.Header, parts: list[memoryview]) -> None:
        body = envelope.Body(header["codec"], header["by_value"], list(parts))
        offset = self._file.tell()
        for piece in envelope.pieces({"kind": "value"}, body):
            self._file.write(piece)
        self._index[header["item"]] = (header["digest"], offset, self._file.tell() - offset)


@contextmanager
def past(flow: Flow, wanted: Wanted, name: str) -> Iterator[Past]:
    """End the workers that an earlier run has left, and give what all of them have done.

    Raises ConflictError when the name is another function's, or another process is at it.
    """
    from flow_core.settings import paths

    folder = paths(flow.session.environ).state_dir / "maps"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(folder / sha256(name.encode()).hexdigest()[:16], name), tempfile.TemporaryFile(dir=folder) as file:
        tasks = flow.tasks(None, label=f"{_NAME}={name}")
        for task in tasks:
            if task.config.labels[_FUNCTION] != wanted.title:
                other = task.config.labels[_FUNCTION]
                raise ConflictError(f"the map {name} is one of {other}", "choose another name")
        for task in tasks:
            if not task.refresh().is_final:
                dismiss(flow, task, task.row.state == "running")
        until = time.monotonic() + _AT_HAND
        for task in tasks:
            _end(task, until)
        yield Past(file, tasks)


def _end(task: Task[Any], until: float) -> None:
    """Wait for the end of a worker that was dismissed; one that is at its item for too long is stopped, and the item lost."""
    try:
        task.wait(max(0.0, until - time.monotonic()))
    except TimeoutError:
        task.cancel()
        task.wait_until(lambda: None)


@contextmanager
def _alone(path: Path, name: str) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "wait for it, or choose another name"
            raise ConflictError(f"another process is at the map {name}", hint) from None
        yield
    finally:
        os.close(fd)
