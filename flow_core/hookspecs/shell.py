"""Shell: commands and ports of a running task, for providers whose nodes cannot be reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flow_core.hookspecs._markers import hookspec, optional
from flow_core.types import ShellSession, TaskRef


class ShellHooks(Protocol):
    """Only where ``flow_node_access`` gives none."""

    @hookspec(firstresult=True)
    def flow_shell_exec(self, ref: TaskRef, rank: int, command: Sequence[str], tty: bool) -> ShellSession:
        """Say how to run ``command`` on a node: a local command line that is connected to it.

        Example::

            @hookimpl
            def flow_shell_exec(self, ref, rank, command, tty):
                return ShellSession(("acme-cli", "exec", *(["-t"] if tty else []), ref.id, "--", *command))
        """
        ...

    @hookspec(firstresult=True)
    def flow_shell_forward(self, ref: TaskRef, rank: int, port: int) -> tuple[str, int]:
        """Make a task's port reachable from here and return (host, port); 10 s.

        Example::

            @hookimpl
            def flow_shell_forward(self, ref, rank, port):
                return self._tunnel(ref.id, rank, port)
        """
        optional("flow_shell_forward")
