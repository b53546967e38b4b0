"""What stands behind a task's row in the journal: the config it was submitted with, the nodes that run it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flow_core.faces import Provider
    from flow_core.journal import TaskRow
    from flow_core.nodes import Node
    from flow_core.types import NodeAccess, TaskConfig, TaskRef


def config_of(row: TaskRow) -> TaskConfig:
    """Return the config that a task was submitted with."""
    import json

    from flow_core.spec import from_mapping

    return from_mapping(json.loads(row.config))


def node_groups(accesses: Collection[NodeAccess]) -> list[tuple[NodeAccess, list[int]]]:
    """Return one access per folder, with the ranks that are found there."""
    groups: dict[tuple[str, str | None, int, str], tuple[NodeAccess, list[int]]] = {}
    for access in accesses:
        place = (access.kind, access.host, access.port, access.path)
        groups.setdefault(place, (access, []))[1].append(access.rank)
    return list(groups.values())


def open_nodes(provider: Provider, ref: TaskRef, ranks: Collection[int] | None = None) -> list[tuple[Node, list[int]]]:
    """Open the nodes of a task that can be reached, each with the ranks it holds."""
    from flow_core.nodes import open_node

    reachable = [a for a in provider.node_access(ref) if a.kind != "none" and (ranks is None or a.rank in ranks)]
    return [(open_node(access), held) for access, held in node_groups(reachable)]
