"""A machine that is reached by ssh: shell texts and the runner, over one shared connection."""

from __future__ import annotations

import subprocess
from typing import IO, TYPE_CHECKING

from flow_core.errors import CapabilityError, FlowError, NotFoundError, StateError, TransientError
from flow_core.nodes import _logs, _remote
from flow_core.nodes._connection import UNREACHABLE, Connection

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from flow_core.types import NodeAccess

REFUSED = 2  # what the runner exits with when a file is not there


class SshHost:
    """Does things on the machine of ``access``; the runner is put there at the first need."""

    def __init__(self, access: NodeAccess, state: Path) -> None:
        self.name = access.host or "localhost"
        self.connection = Connection(access, state)
        self.archive = _remote.archive()

    def run(
        self, script: str, *words: str, stdin: IO[bytes] | bytes | None = None, seconds: float | None = 120.0
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the shell text ``script`` there with ``words`` as ``$1`` …; ``~/`` at their beginning is the home there.

        What a login script prints is no part of the answer. Raises AuthError, and TransientError when the machine
        cannot be reached or does not answer within ``seconds``.
        """
        done = self.connection.run(_remote.marked(script, *words), stdin, seconds)
        done.stdout = _logs.without_greeting(done.stdout)
        return done

    def ask(self, folder: str, *words: str, fine: Collection[int] = (0,)) -> subprocess.CompletedProcess[bytes]:
        """Run the runner's command ``words[0]`` on ``folder``; ``fine`` are the exit codes that are answers."""
        return self.answer(_remote.run(self.archive, folder, *words), folder, fine)

    def answer(self, remote: str, folder: str, fine: Collection[int] = (0,)) -> subprocess.CompletedProcess[bytes]:
        """Run a text that needs the runner."""
        done = self.connection.run(remote)
        if done.returncode == _remote.NOT_INSTALLED:
            self.install()
        if done.returncode in (_remote.NOT_INSTALLED, REFUSED):  # the folder may have been put away just then
            done = self.connection.run(remote)
        if done.returncode not in fine:
            raise self.explain(done.returncode, done.stderr, folder) or TransientError(
                f"the runner on {self.name} has gone again", "see what clears ~/.cache/flow there, and try again"
            )
        done.stdout = _logs.without_greeting(done.stdout)
        return done

    def explain(self, code: int, said: bytes, folder: str) -> FlowError | None:
        """Return what an exit code means; None when the runner was missing and is installed now."""
        if code == _remote.NOT_INSTALLED:
            self.install()
            return None
        if code == _remote.NO_FOLDER:
            return self.missing(folder)
        if code < 0:  # it was us who ended ssh
            return TransientError(f"{self.name} fell silent", "see whether it is up")
        if code == UNREACHABLE:
            return self.connection.trouble(said)
        return StateError(f"the runner on {self.name} failed (exit code {code}): {words(said)}", "see `flow doctor`")

    def missing(self, folder: str) -> NotFoundError:
        """Return the error for a task that is not there."""
        return NotFoundError(f"there is no task folder {folder} on {self.name}", "see what there is with `flow status`")

    def install(self) -> None:
        """Put the runner there; what is there under the same name is the same."""
        done = self.connection.run(_remote.install(self.archive), self.archive)
        if done.returncode == _remote.NO_PYTHON:
            raise CapabilityError(f"there is no Python 3.8 or newer on {self.name}", "install python3 there")
        if done.returncode == _remote.INCOMPLETE:
            raise TransientError(f"the runner arrived incomplete on {self.name}", "try again")
        if done.returncode:
            raise StateError(
                f"the runner cannot be installed on {self.name}: {words(done.stderr)}", "check ~/.cache/flow there"
            )


def words(said: bytes) -> str:
    """Return what a program complained of, in one line."""
    return " ".join(said.decode("utf-8", "replace").split()) or "it said nothing"
