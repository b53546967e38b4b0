"""The logs that a task's store kept, as a node to read: a copy of its folder, made when it is first wanted."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flow_core.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from flow_core.client._session import Session
    from flow_core.journal import TaskRow
    from flow_core.nodes import Node


def stored_nodes(session: Session, row: TaskRow, streams: Collection[str]) -> list[tuple[Node, list[int]]]:
    """Return a node with these streams of a final task; empty where its store has none. Raises StateError for damaged ones."""
    from flow_core.nodes import open_node
    from flow_core.types import NodeAccess

    if not row.is_final or session.journal.keeping(row.id) is None:
        return []
    folder = _copy(session, row, streams)
    return [(open_node(NodeAccess(0, "folder", str(folder))), list(range(row.num_instances)))] if folder else []


def _copy(session: Session, row: TaskRow, streams: Collection[str]) -> Path | None:
    from flow_core.client._kept import manifest
    from flow_core.results import read_blob
    from flow_core.secrets._private_file import make_folder
    from flow_core.settings import paths

    folder = paths(session.environ).cache_dir / "logs" / row.id / "+".join(sorted(streams))
    if (folder / "final.json").is_file():
        return folder
    keeping = session.journal.keeping(row.id)
    try:
        found = manifest(session, row).things
    except NotFoundError:
        return None
    logs = [thing for thing in found if thing.kind == "log" and PurePosixPath(thing.path).stem in streams]
    if keeping is None or not logs:
        return None
    store = session.result_store(keeping.store)
    for log in logs:
        assert log.content is not None
        make_folder((folder / log.path).parent)
        _write(folder / log.path, read_blob(store, log.content))
    # Last: what is there is whole.
    _write(folder / "final.json", iter([json.dumps({"task_id": row.id}).encode()]))
    return folder


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    from flow_core.client._output import write_file

    write_file(path, pieces)
