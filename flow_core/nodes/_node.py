"""What core does with a node, whichever way it is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from flow_core.errors import CapabilityError
from flow_core.nodes._cursor import STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from flow_core.nodes._host import SshHost
    from flow_core.nodes._usage import NodeUsage
    from flow_core.types import LogChunk, LogCursor, NodeAccess, ShellSession, TaskReport


class Node(Protocol):
    """A task's folder on a machine. TransientError: it cannot be reached now; NotFoundError: it has no such folder."""

    def report(self) -> TaskReport | None:
        """Return what the folder says; None when the machine has no such folder (yet)."""
        ...

    def usage(self) -> NodeUsage | None:
        """Return what the task uses of the machine now; None when the machine has no such folder (yet)."""
        ...

    def read(
        self,
        cursor: LogCursor,
        follow: bool = False,
        ranks: Collection[int] | None = None,
        streams: Collection[str] = STREAMS,
        closed: Callable[[], bool] | None = None,
    ) -> Iterator[LogChunk]:
        """Yield the bytes from ``cursor`` on, and with ``follow`` what comes, until the task is final.

        ``closed`` is asked at least once a second; the stream ends soon after it says so. Closing the iterator
        releases what it holds. At most one chunk is in memory.
        """
        ...

    def tail(self, lines: int) -> LogCursor:
        """Return where the last ``lines`` lines of each stream begin."""
        ...

    def since(self, moment: float) -> LogCursor:
        """Return where what was written at ``moment`` (UTC seconds) or later begins."""
        ...

    def cancel(self, grace_seconds: float) -> bool:
        """Have the task end: True when it will, False when it had ended."""
        ...

    def signal(self, name: str) -> None:
        """Send a signal (``INT``, ``USR1``) to the task's command."""
        ...

    def exec(self, rank: int, argv: Sequence[str], tty: bool = False) -> ShellSession:
        """Return what to start here to run ``argv`` in the environment of ``rank``."""
        ...

    def put(self, source: Path, target: str) -> int:
        """Copy a local file to ``target`` (relative: where the command starts), by rename; return its bytes."""
        ...

    def get(self, source: str, target: Path) -> int:
        """Copy the node's file ``source`` (relative: where the command starts) here, by rename; return its bytes."""
        ...

    def kept(self) -> Mapping[str, Any]:
        """Return what the task keeps and how the upload of it goes, as the runner says it (``flow_core.runner.kept``)."""
        ...

    def read_kept(self, kind: str, path: str, offset: int = 0) -> Iterator[bytes]:
        """Yield the bytes of one kept thing from ``offset`` on. Raises NotFoundError."""
        ...

    def resume_upload(self, tickets: bytes | None = None) -> None:
        """Have an upload that was broken off go on, with fresh ``tickets`` (JSON) where these are given."""
        ...

    def deliver(self, name: str, data: bytes) -> None:
        """Write the file ``name`` of the task's folder, by rename; a second time it replaces it."""
        ...

    def ports(self, rank: int) -> Mapping[str, int]:
        """Return the ports of ``rank`` by name, those that were chosen for it too; empty before it has begun."""
        ...

    def forward(self, port: int) -> tuple[str, int]:
        """Return the local (host, port) that reaches the node's ``port`` on its loopback."""
        ...

    def close(self) -> None:
        """Release connections; the task is not touched. A second call does nothing."""
        ...


def open_node(access: NodeAccess, state: Path | None = None) -> Node:
    """Return the node behind ``access``; no connection is made yet. Raises CapabilityError for a kind with no access.

    ``state`` is the folder that keeps the host keys pinned on first use; default: this user's own.
    """
    if access.kind == "folder":
        from flow_core.nodes._folder import FolderNode

        return FolderNode(access)
    if access.kind == "ssh":
        from flow_core.nodes._ssh import SshNode

        return SshNode(access, state or own_state())
    raise CapabilityError(
        f"rank {access.rank} has no way in (access kind {access.kind!r})", "use what its provider offers itself"
    )


def open_host(access: NodeAccess, state: Path | None = None) -> SshHost:
    """Return the machine of an access of kind ``ssh``, for a provider that has things to do there; no connection yet.

    ``state``: as for :func:`open_node`.
    """
    from flow_core.nodes._host import SshHost

    return SshHost(access, state or own_state())


def own_state() -> Path:
    """Return the folder that keeps this user's pinned host keys."""
    from flow_core.settings import paths

    return paths().state_dir / "ssh"
