"""Reading a task's log: through its nodes where they can be reached, else through the provider."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from flow_core.errors import FlowError, NotFoundError, TransientError, UnavailableError
from flow_core.types import FINAL_STATES, LogChunk, LogCursor, NodeAccess, TaskRef, parse_ref

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.faces import Provider
    from flow_core.nodes import Node

STREAMS = ("stdout", "stderr")
_AHEAD = 64  # chunks that a fast node may be ahead of the reader


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


def read_log(
    session: Session,
    task_id: str,
    cursor: LogCursor,
    follow: bool,
    ranks: Collection[int] | None = None,
    streams: Collection[str] = STREAMS,
    closed: Callable[[], bool] = lambda: False,
) -> Iterator[LogChunk]:
    """Yield a task's log from ``cursor`` on; with ``follow`` until the task is final or ``closed`` says so.

    Raises NotFoundError when the machine is gone and nothing was kept.
    """
    ref = _accepted(session, task_id, follow, closed)
    if ref is None:
        return
    provider = session.provider(session.journal.task(task_id).profile)
    nodes = _nodes_when_up(session, provider, ref, task_id, ranks, follow, closed)
    if len(nodes) == 1:
        yield from nodes[0][0].read(cursor, follow, nodes[0][1], streams, closed)
    elif nodes:
        yield from _merged([node.read(cursor, follow, held, streams, closed) for node, held in nodes])
    elif "flow_logs_read" in provider.supports:
        yield from _resumed(provider, ref, cursor, follow, ranks, streams, closed)
    elif session.journal.task(task_id).state in FINAL_STATES:
        raise NotFoundError(f"the logs of {task_id} are gone with its machine", "keep them with a result store next time")


def _accepted(session: Session, task_id: str, follow: bool, closed: Callable[[], bool]) -> TaskRef | None:
    """Return the provider's reference; waits for it when following. None when the task ended without one."""
    from flow_core.client._refresh import reconcile
    from flow_core.waiting import Backoff

    backoff = Backoff(0.05, 2.0)
    while True:
        row = session.journal.task(task_id)
        if row.ref:
            return parse_ref(row.ref)[2]
        if row.state in FINAL_STATES or not follow or closed():
            return None
        reconcile(session)
        time.sleep(backoff.next())


def _nodes_when_up(
    session: Session,
    provider: Provider,
    ref: TaskRef,
    task_id: str,
    ranks: Collection[int] | None,
    follow: bool,
    closed: Callable[[], bool],
) -> list[tuple[Node, list[int]]]:
    from flow_core.client._refresh import refresh
    from flow_core.waiting import Backoff

    backoff = Backoff(provider.facts.min_poll_seconds, 30.0)
    while True:
        try:
            nodes = open_nodes(provider, ref, ranks)
        except (UnavailableError, NotFoundError, TransientError):
            nodes = []
        if nodes or not follow or "flow_logs_read" in provider.supports or closed():
            return nodes
        refresh(session, [task_id])
        if session.journal.task(task_id).state in FINAL_STATES:
            return []
        time.sleep(backoff.next())


def _resumed(
    provider: Provider,
    ref: TaskRef,
    cursor: LogCursor,
    follow: bool,
    ranks: Collection[int] | None,
    streams: Collection[str],
    closed: Callable[[], bool],
) -> Iterator[LogChunk]:
    """Read through the provider, and go on at the cursor when its stream breaks."""
    from flow_core.waiting import Backoff

    backoff = Backoff(1.0, 30.0)
    while True:
        try:
            for chunk in provider.logs(ref, cursor, follow):
                cursor = cursor.after(chunk)
                backoff.reset()
                if (ranks is None or chunk.rank in ranks) and chunk.stream in (*streams, "both"):
                    yield chunk
                if closed():
                    return
            return
        except TransientError:
            if not follow or closed():
                raise
            time.sleep(backoff.next())


def _merged(readings: list[Iterator[LogChunk]]) -> Iterator[LogChunk]:
    """Yield from several nodes as their chunks come; one thread each, never more than a few chunks ahead."""
    chunks: queue.Queue[LogChunk | FlowError | None] = queue.Queue(_AHEAD)
    stop = threading.Event()

    def pump(reading: Iterator[LogChunk]) -> None:
        try:
            for chunk in reading:
                while not stop.is_set():
                    try:
                        chunks.put(chunk, timeout=1.0)
                        break
                    except queue.Full:
                        continue
                if stop.is_set():
                    return
            chunks.put(None)
        except FlowError as error:
            chunks.put(error)

    for reading in readings:
        threading.Thread(target=pump, args=(reading,), daemon=True).start()
    left = len(readings)
    try:
        while left:
            item = chunks.get()
            if isinstance(item, FlowError):
                raise item
            if item is None:
                left -= 1
            else:
                yield item
    finally:
        stop.set()
