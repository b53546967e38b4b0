"""The uploads of a server's ended tasks: a process each, started again when it was killed.

``ROOT/uploads/<task>`` stands for one that is to be done, so that a server that starts later finds it.
"""

import functools
import os
from collections import deque
from contextlib import suppress
from typing import Deque, Set

from .launch import command
from .loop import Loop
from .pending import is_given_up, is_pending
from .record import done_dir
from .witness import Witness

_AT_ONCE = 4
_AGAIN = 1.0  # seconds


class Uploads:
    """What is still to be brought to a store from one root."""

    def __init__(self, root: str, loop: Loop, witness: Witness) -> None:
        self._root, self._loop, self._witness = root, loop, witness
        self._running: Set[str] = set()
        self._waiting: Deque[str] = deque()
        with suppress(FileNotFoundError):
            self._waiting.extend(sorted(os.listdir(root + "/uploads")))

    @property
    def busy(self) -> bool:
        """Whether any is under way or waits."""
        return bool(self._running or self._waiting)

    def note(self, name: str) -> None:
        """Remember one, before its folder is put away. Raises OSError (no room)."""
        os.makedirs(self._root + "/uploads", 0o700, exist_ok=True)
        os.close(os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._waiting.append(name)

    def start(self) -> None:
        """Begin what waits, a few at once."""
        while self._waiting and len(self._running) < _AT_ONCE:
            self._start(self._waiting.popleft())

    def _start(self, name: str) -> None:
        folder = done_dir(self._root, name)
        if not is_pending(folder) or is_given_up(folder):
            self._forget(name)
            return
        argv = command("upload", folder)
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
        try:
            pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=null, setsid=True, setsigmask=[])
        except OSError:  # no room for a process
            self._later(name)
            return
        self._running.add(name)
        self._witness.other_children[pid] = functools.partial(self._ended, name)

    def _ended(self, name: str) -> None:
        self._running.discard(name)
        if is_pending(done_dir(self._root, name)):  # killed, or it gave up: see _start
            self._later(name)
        else:
            self._forget(name)
        self.start()

    def _later(self, name: str) -> None:
        self._running.add(name)
        self._loop.after(_AGAIN, functools.partial(self._again, name))

    def _again(self, name: str) -> None:
        self._running.discard(name)
        self._waiting.append(name)
        self.start()

    def _forget(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._path(name))

    def _path(self, name: str) -> str:
        return "%s/uploads/%s" % (self._root, name)
