"""The way to a port of a running task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from flow_core.client._reach import open_nodes
from flow_core.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flow_core.faces import Provider
    from flow_core.types import TaskConfig, TaskRef


@attrs.frozen
class Way:
    """An address on this machine that leads to a port of the task; ``lasts``: also when this process has ended."""

    host: str
    port: int
    lasts: bool


def find_way(provider: Provider, ref: TaskRef, config: TaskConfig, rank: int, port: int | str) -> Way:
    """Return the way to ``port``, a number or the name that the config gives it.

    Raises NotFoundError when no port has that name, UnavailableError when it has not been chosen yet.
    """
    named = {spec.name: spec.port for spec in config.ports}
    for node, _ in open_nodes(provider, ref, [rank]):
        number = _number(port, named, node.ports(rank) if isinstance(port, str) else {})
        lasts = any(access.kind == "folder" for access in provider.node_access(ref) if access.rank == rank)
        return Way(*node.forward(number), lasts)
    return Way(*provider.shell_forward(ref, rank, _number(port, named, {})), lasts=False)


def _number(port: int | str, named: Mapping[str, int], chosen: Mapping[str, int]) -> int:
    if isinstance(port, int):
        return port
    if port not in named:
        has = f"it has {', '.join(named)}" if named else "write it into the task's `ports`, or name a number"
        raise NotFoundError(f"the task has no port named {port!r}", has)
    number = chosen.get(port) or named[port]
    if not number:
        raise UnavailableError(f"the port {port!r} has not been chosen yet", "wait until the task runs")
    return number
