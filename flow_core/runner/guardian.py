"""Who starts a killed server again: a shell that waits for the end of a pipe, which the server holds.

It costs nothing while it waits. The server makes a new one when it is killed; when the server leaves in good order it
says so through the pipe, and the guardian leaves too.
"""

import os
from contextlib import suppress
from typing import List, Optional

from . import process
from .watcher import shell
from .witness import Witness

_LINE = 'read -r bye || exec "$@" </dev/null'


class Guardian:
    """Keeps one guardian alive that would run ``argv``."""

    def __init__(self, witness: Witness, argv: List[str]) -> None:
        self._witness, self._argv = witness, argv
        self._pipe: Optional[int] = None

    def ensure(self) -> None:
        """Have a guardian; without room for a process there is none until the next call."""
        if self._pipe is None and "guardian" not in process.WITHOUT:
            try:
                self._start()
            except OSError:
                return

    def _start(self) -> None:
        end, self._pipe = os.pipe2(os.O_CLOEXEC)
        sh = shell()
        try:
            pid = os.posix_spawn(
                sh[0],
                [*sh, "-c", _LINE, "flow", *self._argv],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, end, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
                setsid=True,
            )
            self._witness.other_children[pid] = self._gone
        except OSError:
            self._gone()
            raise
        finally:
            os.close(end)

    def _gone(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def dismiss(self) -> None:
        """Have it leave without starting anything."""
        if self._pipe is not None:
            with suppress(OSError):  # it may be gone already
                os.write(self._pipe, b"bye\n")
            self._gone()
