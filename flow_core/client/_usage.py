"""What running tasks use of their nodes, asked for all of them together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flow_core.errors import FlowError
from flow_core.types import NodeAccess, parse_ref

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flow_core.client._session import Session
    from flow_core.journal import TaskRow
    from flow_core.nodes import NodeUsage


def usage(session: Session, rows: Sequence[TaskRow]) -> dict[str, list[NodeUsage]]:
    """Return task id -> what it uses of each machine; machines that cannot be reached now are left out."""
    from flow_core.nodes import look

    places = {row.id: _places(session, row) for row in rows}
    folders = [Path(access.path) for found in places.values() for access in found if access.kind == "folder"]
    here = dict(zip(folders, look(folders), strict=True))
    return {
        task: [use for access in found if (use := here.get(Path(access.path)) or _far(access)) is not None]
        for task, found in places.items()
    }


def _places(session: Session, row: TaskRow) -> list[NodeAccess]:
    """Return one access for each machine: several ranks may share a folder."""
    if row.ref is None:
        return []
    try:
        found = session.provider(row.profile).node_access(parse_ref(row.ref)[2])
    except FlowError:
        return []
    machines = {(access.kind, access.host, access.port, access.path): access for access in found}
    return list(machines.values())


def _far(access: NodeAccess) -> NodeUsage | None:
    from flow_core.nodes import open_node

    if access.kind != "ssh":
        return None
    try:
        return open_node(access).usage()
    except FlowError:
        return None
