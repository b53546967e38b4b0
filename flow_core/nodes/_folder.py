"""A node whose task folder this machine sees: everything is done in this process."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flow_core.errors import NotFoundError
from flow_core.nodes import _files, _process
from flow_core.nodes._cursor import STREAMS, from_offsets, to_offsets
from flow_core.nodes._report import at_home, report
from flow_core.nodes._usage import NodeUsage, look
from flow_core.runner import files, kept, reader
from flow_core.runner.record import write_file
from flow_core.types import LogChunk, LogCursor, NodeAccess, ShellSession, TaskReport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence


class FolderNode:
    """Reads and writes ``access.path``, also after a queue has put the folder away."""

    def __init__(self, access: NodeAccess) -> None:
        self._folder = Path(access.path)

    def report(self) -> TaskReport | None:
        """See :meth:`Node.report`."""
        try:
            return report(self._folder)
        except NotFoundError:
            return None

    def usage(self) -> NodeUsage | None:
        """See :meth:`Node.usage`."""
        return look([self._folder])[0]

    def read(
        self,
        cursor: LogCursor,
        follow: bool = False,
        ranks: Collection[int] | None = None,
        streams: Collection[str] = STREAMS,
        closed: Callable[[], bool] | None = None,
    ) -> Iterator[LogChunk]:
        """See :meth:`Node.read`."""
        offsets = to_offsets(cursor)
        pieces = at_home(self._folder, lambda place: reader.read(place, offsets, follow, ranks, streams, closed))
        with closing(pieces):
            for piece in pieces:
                yield LogChunk(piece.attempt, piece.rank, piece.stream, piece.offset, piece.data, piece.time)

    def tail(self, lines: int) -> LogCursor:
        """See :meth:`Node.tail`."""
        return from_offsets(at_home(self._folder, lambda place: reader.tail(place, lines)))

    def since(self, moment: float) -> LogCursor:
        """See :meth:`Node.since`."""
        return from_offsets(at_home(self._folder, lambda place: reader.since(place, moment)))

    def cancel(self, grace_seconds: float) -> bool:
        """See :meth:`Node.cancel`."""
        return _process.cancel(self._folder, grace_seconds)

    def signal(self, name: str) -> None:
        """See :meth:`Node.signal`."""
        _process.signal(self._folder, name)

    def exec(self, rank: int, argv: Sequence[str], tty: bool = False) -> ShellSession:  # noqa: ARG002
        """See :meth:`Node.exec`; a terminal is the caller's own."""
        return at_home(self._folder, lambda place: _process.session(place, rank, argv))

    def put(self, source: Path, target: str) -> int:
        """See :meth:`Node.put`."""
        path = self._path(target)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _files.copy(source, path)

    def get(self, source: str, target: Path) -> int:
        """See :meth:`Node.get`."""
        return _files.copy(self._path(source), target)

    def kept(self) -> Mapping[str, Any]:
        """See :meth:`Node.kept`."""
        return at_home(self._folder, lambda place: kept.describe(str(place)))

    def read_kept(self, kind: str, path: str, offset: int = 0) -> Iterator[bytes]:
        """See :meth:`Node.read_kept`."""
        place = at_home(self._folder, _existing)
        try:
            yield from kept.read(str(place), kind, path, offset)
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no {kind} {path} in {place}", "run the task again") from error

    def resume_upload(self, tickets: bytes | None = None) -> None:
        """See :meth:`Node.resume_upload`."""
        place = at_home(self._folder, _existing)
        if tickets is not None:
            (place / "control").mkdir(mode=0o700, exist_ok=True)
            write_file(str(place / "control" / "tickets.json"), tickets)
        _process.resume_upload(place)

    def deliver(self, name: str, data: bytes) -> None:
        """See :meth:`Node.deliver`."""
        path = at_home(self._folder, _existing) / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _files.receive(path, lambda file: file.write(data), 0o600)

    def ports(self, rank: int) -> Mapping[str, int]:
        """See :meth:`Node.ports`."""
        return at_home(self._folder, lambda place: _process.ports(place, rank))

    def forward(self, port: int) -> tuple[str, int]:
        """See :meth:`Node.forward`: the port is on this machine already."""
        return "127.0.0.1", port

    def close(self) -> None:
        """See :meth:`Node.close`: nothing is held."""

    def _path(self, name: str) -> Path:
        return Path(files.inside(str(at_home(self._folder, _existing)), name))


def _existing(folder: Path) -> Path:
    folder.stat()
    return folder
