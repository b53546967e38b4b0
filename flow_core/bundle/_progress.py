"""How far the making of a snapshot is, for whoever wants to show it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import attrs

_PAUSE = 0.1  # seconds between two words


@attrs.frozen
class Progress:
    """Files that are done, of how many (0 while the folder is still being read), and bytes that had to be copied."""

    files: int
    of_files: int = 0
    bytes: int = 0


Listener = Callable[[Progress], None]
_listener: ContextVar[Listener | None] = ContextVar("flow_snapshot_progress", default=None)


@contextmanager
def shown(listener: Listener) -> Iterator[None]:
    """Have ``listener`` told, about ten times a second, of the snapshots that are made in this block.

    What it raises ends the snapshot; nothing of it is left then.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Meter:
    """Counts for the listener of this context; costs nothing where there is none."""

    def __init__(self, of_files: int = 0) -> None:
        self._tell = _listener.get()
        self._of_files = of_files
        self._files = self._bytes = 0
        self._next = time.monotonic() + _PAUSE

    def add(self, size: int, files: int = 1) -> None:
        """Count what was done."""
        self._files += files
        self._bytes += size
        if self._tell is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + _PAUSE
            self._tell(Progress(self._files, self._of_files, self._bytes))
