"""The sparse time index beside a rank's streams: when which part of a log was written.

Written when the kernel says that a stream grew, at most every 100 ms; commands that end within their first
50 ms have none. While nothing is written nothing is looked at.
"""

import os
import struct
import time
from typing import Dict, Set, Tuple

from .inotify import Watcher
from .loop import Loop
from .rank import Rank

_RECORD = struct.Struct("<QQ")  # offset, nanoseconds since the epoch
_APART = 0.1  # seconds
_POLLED = 1.0  # seconds, where the kernel cannot tell
_STREAMS = ("stdout", "stderr")


class _Stream:
    """A stream and how much of it is indexed."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self.size = os.stat(path + ".idx").st_size and os.stat(path).st_size
        except OSError:
            self.size = 0

    def look(self) -> None:
        """Add a record if it grew."""
        size = os.stat(self.path).st_size
        if size > self.size:
            fd = os.open(self.path + ".idx", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, _RECORD.pack(self.size, time.time_ns()))
            finally:
                os.close(fd)
            self.size = size


class Index:
    """Keeps the indexes of the ranks added to it."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._watcher = Watcher()
        self._streams: Dict[int, _Stream] = {}
        self._handles: Dict[Rank, Tuple[int, ...]] = {}
        self._changed: Set[int] = set()
        self._resting = False
        self._listen()

    def _listen(self) -> None:
        self._resting = False
        if self._watcher.polling:
            self._tick()
        else:
            self._loop.watch(self._watcher.fileno(), self._tick)

    def add(self, rank: Rank) -> None:
        """Index what this rank writes from now on."""
        if rank in self._handles:
            return
        handles = []
        for name in _STREAMS:
            try:
                stream = _Stream("%s/%s" % (rank.folder, name))
                handle = self._watcher.add(stream.path)
                self._streams[handle] = stream
                stream.look()
            except OSError:  # no room, or the task removed its own log: then lines have no time
                continue
            handles.append(handle)
        self._handles[rank] = tuple(handles)
        if self._watcher.polling and not self._resting:
            self._tick()

    def remove(self, rank: Rank) -> None:
        """Index the rest of this rank's streams, and no more."""
        for handle in self._handles.pop(rank, ()):
            self._look(handle)
            self._streams.pop(handle, None)
            self._watcher.remove(handle)

    def _tick(self) -> None:
        for handle in self._watcher.wait(0):
            self._look(handle)
        if not self._resting and (self._streams or not self._watcher.polling):
            self._resting = True
            if not self._watcher.polling:
                self._loop.forget(self._watcher.fileno())
            self._loop.after(_POLLED if self._watcher.polling else _APART, self._listen)

    def _look(self, handle: int) -> None:
        stream = self._streams.get(handle)
        if stream is not None:
            try:
                stream.look()
            except OSError:
                return
