"""Nodes: where they are. Through this core does logs, exit codes, exec, files and forwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flow_core.hookspecs._markers import hookspec
from flow_core.types import NodeAccess, TaskRef


class NodeHooks(Protocol):
    """Required, unless the provider implements the log, shell and file hooks itself."""

    @hookspec(firstresult=True)
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        """Say where each rank's task folder is: a folder of this machine, or a host that ssh reaches.

        Called for logs, exec, files and exit records, and again after each new attempt; read only; 10 s. Empty: not up
        yet. Raises UnavailableError when the machines are gone.

        Example::

            @hookimpl
            def flow_node_access(self, ref):
                return [NodeAccess(rank=0, kind="ssh", host=self._ip(ref), user="ubuntu", path=f"/var/flow/{ref.id}")]
        """
        ...
