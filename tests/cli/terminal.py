"""A program on a terminal of its own."""

from __future__ import annotations

import os
import pty
import select
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Program


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, flow: Program, *arguments: str) -> None:
        self._leader, follower = pty.openpty()
        self.process = flow.start(
            *arguments,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            preexec_fn=_own_terminal,
        )
        os.close(follower)
        self.seen = b""

    def until(self, words: bytes) -> bytes:
        """Read until ``words`` were printed and return all that was read since the last call."""
        deadline = time.monotonic() + 20
        while words not in self.seen:
            assert select.select([self._leader], [], [], deadline - time.monotonic())[0], self.seen
            self.seen += self._read()
        found, _, self.seen = self.seen.partition(words)
        return found + words

    def end(self) -> tuple[int, bytes]:
        """Read to the end and return (status, what was printed)."""
        while data := self._read():
            self.seen += data
        return self.process.wait(30), self.seen

    def _read(self) -> bytes:
        try:
            return os.read(self._leader, 65536)
        except OSError:  # the other side is closed
            return b""

    def type(self, words: bytes) -> None:
        """Press keys."""
        os.write(self._leader, words)

    def close(self) -> None:
        """Take the terminal away."""
        os.close(self._leader)


def _own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
