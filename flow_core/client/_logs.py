"""Reading a task's log: through its nodes where they can be reached, else through the provider."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from flow_core.client._reach import open_nodes
from flow_core.client._stored_logs import stored_nodes
from flow_core.errors import FlowError, LogsGoneError, NotFoundError, StateError, TransientError, UnavailableError
from flow_core.types import FINAL_STATES, LogChunk, LogCursor, TaskRef, parse_ref

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.faces import Provider
    from flow_core.journal import TaskRow
    from flow_core.nodes import Node

STREAMS = ("stdout", "stderr")
_AHEAD = 64  # chunks that a fast node may be ahead of the reader
_CHECK_SECONDS = 2.0
_LOOK_SECONDS = 0.25
_AGAIN_SECONDS = 2.0
_PATIENCE_SECONDS = 60.0


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

    Without ``streams`` this waits for the end as the nodes tell it, at once where none can be reached. Raises
    LogsGoneError when the machine is gone and nothing was kept, StateError when the journal can no longer be written.
    """
    row = _accepted(session, task_id, follow, closed)
    if row.ref is None:
        return
    ref = parse_ref(row.ref)[2]
    try:
        provider = session.provider(row.profile)
    except FlowError:  # no longer installed, or set up: what was kept can be read all the same
        if not (kept := stored_nodes(session, session.journal.task(task_id), streams)):
            raise
        yield from kept[0][0].read(cursor, follow, ranks, streams)
        return

    def found() -> list[tuple[Node, list[int]]]:
        nodes = _nodes_when_up(session, provider, ref, task_id, ranks, follow, closed)
        return nodes or _stored(session, task_id, streams)

    nodes = found()
    patience: float | None = None  # until when a machine that cannot be reached is asked for the end of its log
    pause = provider.facts.min_poll_seconds
    over = _Over(session, task_id, pause, closed, again=bool(streams)) if follow else closed
    while nodes:
        try:
            for chunk in _read_nodes(nodes, cursor, follow, streams, over):
                cursor = cursor.after(chunk)
                yield chunk
            return
        except TransientError:
            if closed() or (not streams and session.journal.task(task_id).is_final):
                return
            if kept := _stored(session, task_id, streams):  # its machine is off
                nodes = kept
                continue
            if not follow or not provider.facts.returns_machines:
                raise
            if over() and patience is None:
                patience = time.monotonic() + _PATIENCE_SECONDS
            sleep(_AGAIN_SECONDS, closed)
            nodes = [] if patience is not None and time.monotonic() > patience else found()
    if not streams:
        return
    elif "flow_logs_read" in provider.supports:
        yield from _resumed(provider, ref, cursor, follow, ranks, streams, over)
    elif session.journal.task(task_id).state in FINAL_STATES:
        raise LogsGoneError(
            f"the logs of {task_id} are gone with its machine", "keep them with `result_store` next time"
        )


def _stored(session: Session, task_id: str, streams: Collection[str]) -> list[tuple[Node, list[int]]]:
    return stored_nodes(session, session.journal.task(task_id), streams) if streams else []


def _read_nodes(
    nodes: list[tuple[Node, list[int]]],
    cursor: LogCursor,
    follow: bool,
    streams: Collection[str],
    over: Callable[[], bool],
) -> Iterator[LogChunk]:
    if len(nodes) == 1:
        return nodes[0][0].read(cursor, follow, nodes[0][1], streams, over)
    return _merged(lambda done: [node.read(cursor, follow, held, streams, done) for node, held in nodes], over)


class _Over:
    """Says whether nobody wants more, or a task has ended without its node telling: killed, gone, or its disk full.

    It asks the provider now and then, which also starts again what was killed there. ``again``: it is believed at its
    second word; after the first one the reader still has the time to come to the end.
    """

    def __init__(self, session: Session, task_id: str, pause: float, closed: Callable[[], bool], again: bool) -> None:
        self._session, self._task_id, self._closed, self._again = session, task_id, closed, again
        self._pause = max(_CHECK_SECONDS, pause)
        self._next = time.monotonic() + self._pause
        self._ended = False

    def __call__(self) -> bool:
        if self._closed():
            return True
        if time.monotonic() < self._next:
            return False
        before, self._ended = self._ended, self._ended or self._look()
        self._next = time.monotonic() + self._pause
        return before if self._again else self._ended

    def _look(self) -> bool:
        from flow_core.client._refresh import refresh

        for error in refresh(self._session, [self._task_id]).values():
            if isinstance(error, StateError):
                raise error
        return self._session.journal.task(self._task_id).is_final


def sleep(seconds: float, closed: Callable[[], bool]) -> None:
    """Sleep, but not on when nobody waits any more."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not closed():
        time.sleep(min(left, _LOOK_SECONDS))


def _accepted(session: Session, task_id: str, follow: bool, closed: Callable[[], bool]) -> TaskRow:
    """Return the task with the provider's reference, for which it waits when following; some end without one."""
    from flow_core.client._refresh import reconcile
    from flow_core.waiting import Backoff

    backoff = Backoff(0.05, 2.0)
    while True:
        row = session.journal.task(task_id)
        if row.ref is not None or row.state in FINAL_STATES or not follow or closed():
            return row
        reconcile(session)
        sleep(backoff.next(), closed)


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
        state = session.journal.task(task_id).state  # before the look: what has ended meanwhile is looked for again
        try:
            nodes = open_nodes(provider, ref, ranks)
        except (UnavailableError, NotFoundError, TransientError):
            nodes = []
        if nodes or not follow or "flow_logs_read" in provider.supports or closed():
            return nodes
        if state in FINAL_STATES:
            return []
        refresh(session, [task_id])
        now = session.journal.task(task_id).state
        if now != state and (now == "running" or now in FINAL_STATES):
            continue  # it has begun or ended just now: its logs can be reached
        sleep(backoff.next(), closed)


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
            sleep(backoff.next(), closed)


def _merged(
    read: Callable[[Callable[[], bool]], list[Iterator[LogChunk]]], closed: Callable[[], bool]
) -> Iterator[LogChunk]:
    """Yield from several nodes as their chunks come; one thread each, never more than a few chunks ahead."""
    import queue

    chunks: queue.Queue[LogChunk | Exception | None] = queue.Queue(_AHEAD)
    stop = threading.Event()

    def put(item: LogChunk | Exception | None) -> None:
        while not stop.is_set():
            try:
                chunks.put(item, timeout=1.0)
                return
            except queue.Full:
                continue

    def pump(reading: Iterator[LogChunk]) -> None:
        try:
            for chunk in reading:
                put(chunk)
            put(None)
        except Exception as error:  # whatever it is, it is for the one who reads
            put(error)

    readings = read(lambda: stop.is_set() or closed())
    for reading in readings:
        threading.Thread(target=pump, args=(reading,), daemon=True).start()
    left = len(readings)
    try:
        while left:
            item = chunks.get()
            if isinstance(item, Exception):
                raise item
            if item is None:
                left -= 1
            else:
                yield item
    finally:
        stop.set()
