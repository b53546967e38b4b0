"""What a task kept, read from its store, or from its node while that is there."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from flow_core.client import _keeping
from flow_core.errors import ConflictError, NotFoundError, StateError, UnavailableError
from flow_core.results import Kept, Manifest, read_blob, read_manifest
from flow_core.results._manifest import joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from flow_core.client._session import Session
    from flow_core.journal import TaskRow
    from flow_core.nodes import Node

    Read = Callable[[int], Iterator[bytes]]


@attrs.frozen
class Artifact:
    """One file that a task kept: its ``path`` below the task's working folder, its ``size`` in bytes, its mode.

    ``sha256`` is None while it is on the node only. ``rank``: the node that it comes from, where the nodes of the task
    share no folder; a path that several of them have is ``rank-<rank>/<path>`` of each.
    """

    path: str
    size: int
    mode: int
    sha256: str | None
    _read: Read = attrs.field(repr=False, eq=False)
    rank: int | None = None

    def read(self, offset: int = 0) -> Iterator[bytes]:
        """Yield the bytes from ``offset`` on. Raises StateError when what is kept is damaged."""
        return self._read(offset)

    def open(self) -> io.BufferedReader:
        """Return a file to read from, which can be sought in."""
        return io.BufferedReader(_File(self._read, self.size))

    def download(self, folder: str | Path) -> Path:
        """Write it below ``folder`` under its own path, whole or not at all, and return where.

        Raises ConflictError when a link there leads out of the folder.
        """
        from flow_core.nodes._files import receive

        target = _place(Path(folder), self.path)

        def fill(file: io.BufferedIOBase) -> None:
            size = sum(file.write(piece) for piece in self._read(0))
            if self.sha256 is not None and size != self.size:
                raise StateError(f"{self.path} came with {size} bytes instead of {self.size}", "try again")

        receive(target, fill, self.mode)  # type: ignore[arg-type]
        return target


class _File(io.RawIOBase):
    """Bytes that are read from an offset on, as a file."""

    def __init__(self, read: Read, size: int) -> None:
        self._read_from, self._size, self._at = read, size, 0
        self._pieces: Iterator[bytes] | None = None
        self._held = b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes: reading begins anew from there."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See :meth:`io.IOBase.seek`."""
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if at != self._at:
            self._at, self._pieces, self._held = max(0, at), None, b""
        return self._at

    def tell(self) -> int:
        """See :meth:`io.IOBase.tell`."""
        return self._at

    def readinto(self, room: memoryview) -> int:  # type: ignore[override]
        """Fill ``room`` with what comes; 0 at the end."""
        if self._pieces is None:
            self._pieces = self._read_from(self._at)
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._held = piece
        count = min(len(room), len(self._held))
        room[:count] = self._held[:count]
        self._held, self._at = self._held[count:], self._at + count
        return count


def _place(folder: Path, path: str) -> Path:
    """Make the folder above a path below ``folder``; refuse one that a link leads out."""
    target = folder / path
    top = folder.resolve()
    above = target.parent.resolve()
    if above != top and top not in above.parents:
        raise ConflictError(f"{target} lies outside of {folder}", "choose another folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"cannot make the folder {target.parent}: {error.strerror}", "choose another folder"
        ) from error
    return target


def artifacts(session: Session, row: TaskRow) -> list[Artifact]:
    """Return the artifacts of a final task, by path. Raises NotFoundError when they are gone, UnavailableError before."""
    if not row.is_final:
        raise UnavailableError(f"{row.id} is {row.state}: what it keeps is known at its end", f"flow wait {row.id}")
    found = [_artifact(thing, read) for thing, read in things(session, row) if thing.kind == "artifact"]
    return sorted(found, key=lambda artifact: artifact.path)


def _artifact(thing: Kept, read: Read) -> Artifact:
    digest = thing.content.sha256 if thing.content else None
    return Artifact(thing.path, thing.size, thing.mode, digest, read, thing.rank)


def read_kept(session: Session, row: TaskRow, kind: str, path: str, offset: int = 0) -> Iterator[bytes]:
    """Yield the bytes of one kept thing of a final task: from its node where that can be reached, else from its store.

    A result is ``("result", "result")``. Raises NotFoundError when there is none, or none any more.
    """
    nodes = _keeping.reachable(session, row)
    if nodes:
        try:
            yield from nodes[0].read_kept(kind, path, offset)
            return
        except NotFoundError:
            if session.journal.keeping(row.id) is None:
                raise
    for thing, read in _in_store(session, row):
        if (thing.kind, thing.path) == (kind, path):
            yield from read(offset)
            return
    raise NotFoundError(f"{row.id} kept no {kind} {path}", f"see what it kept: flow artifacts list {row.id}")


def things(session: Session, row: TaskRow) -> list[tuple[Kept, Read]]:
    """Return all that a task kept, with how to read it: what its store has, else what its node has."""
    keeping = session.journal.keeping(row.id)
    if keeping is not None and keeping.phase == "gone":
        raise NotFoundError(f"what {row.id} kept is gone from {keeping.store}: {keeping.error}", "run the task again")
    try:
        return _in_store(session, row)
    except NotFoundError:
        nodes = _keeping.reachable(session, row)
        if not nodes:
            raise
    parts = {rank: [_kept(doc) for doc in node.kept()["things"]] for rank, node in nodes.items()}
    found = joined(parts) if len(parts) > 1 else parts[0]
    return [(thing, _on_node(nodes[thing.rank or 0], thing)) for thing in found]


def _on_node(node: Node, thing: Kept) -> Read:
    path = thing.path.removeprefix(f"rank-{thing.rank}/")
    return lambda offset: node.read_kept(thing.kind, path, offset)


def _kept(doc: dict[str, object]) -> Kept:
    from flow_core.results._manifest import safe_path

    return Kept(str(doc["kind"]), safe_path(doc["path"]), int(str(doc["size"])), int(str(doc["mode"])))


def _in_store(session: Session, row: TaskRow) -> list[tuple[Kept, Read]]:
    keeping = session.journal.keeping(row.id)
    if keeping is None:
        raise NotFoundError(f"{row.id} has no result store", "submit it with `outputs` or `result_store`")
    store = session.result_store(keeping.store)
    return [
        (thing, lambda offset, content=thing.content: read_blob(store, content, offset))  # type: ignore[misc]
        for thing in manifest(session, row).things
        if thing.content is not None
    ]


def manifest(session: Session, row: TaskRow) -> Manifest:
    """Return the manifest of a final task; it waits for none. Raises NotFoundError while there is none."""
    keeping = session.journal.keeping(row.id)
    if keeping is None:
        raise NotFoundError(f"{row.id} has no result store", "submit it with `outputs` or `result_store`")
    found = read_manifest(session.result_store(keeping.store), row.id)
    if keeping.phase == "open":
        _keeping.record(session, found)
    return found
