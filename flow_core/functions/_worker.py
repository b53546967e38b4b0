"""One worker of a map, as its client sees it: a task that is fed and followed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import Full, Queue
from typing import TYPE_CHECKING, Any

from flow_core.errors import CapabilityError, FlowError, StateError
from flow_core.functions._items import Frames, Item, Told
from flow_core.functions.node import envelope
from flow_core.waiting import retry

if TYPE_CHECKING:
    from flow_core.client import Flow, Task
    from flow_core.nodes import Node

OUTBOX = "outbox"
_LEAD = 0.2  # seconds of work that a worker has before it
_MOST = 256  # items


class Worker:
    """Follows the outbox in a thread of its own, which puts (worker, what was said) into ``events``; None is the end."""

    def __init__(self, flow: Flow, task: Task[Any], events: Queue[tuple[Worker, Told | Exception | None]]) -> None:
        self.task = task
        self.ready = False
        self._held: deque[tuple[int, Item]] = deque()  # with the number of its batch
        self._flow, self._events = flow, events
        self._attempt = self._batches = 0
        self._taken = -1
        self._seconds: float | None = None
        self._closed = threading.Event()
        threading.Thread(target=self._follow, name=f"flow: worker {task.id}", daemon=True).start()

    def _follow(self) -> None:
        frames = Frames()
        try:
            for chunk in self.task.read(True, None, [0], (OUTBOX,), self._deadline):
                for told in frames.feed(chunk.data):
                    self._put(told)
            self._put(None)
        except envelope.DamagedError as error:
            self._put(StateError(f"what the worker {self.task.id} said is damaged: {error}", "run it again"))
        except Exception as error:  # it is for the one who waits
            self._put(error)

    def _put(self, event: Told | Exception | None) -> None:
        while not self._closed.is_set():
            with suppress(Full):
                self._events.put((self, event), timeout=1.0)
                return

    def _deadline(self) -> float | None:
        return 0.0 if self._closed.is_set() else None

    def begin(self, attempt: int) -> list[Item]:
        """It is ready, perhaps not for the first time; return what it held before."""
        lost = self.left()
        self.ready, self._attempt, self._batches, self._taken = True, attempt, 0, -1
        return lost

    def left(self) -> list[Item]:
        """Return what it holds, in order, and take it away."""
        items = [item for _, item in self._held]
        self._held.clear()
        return items

    @property
    def room(self) -> int:
        """How many items it should get now: enough to be busy until more can come, many at once."""
        if not self.ready:
            return 0
        wanted = 1 if self._seconds is None else 1 + min(_MOST, int(_LEAD / max(self._seconds, 1e-6)))
        missing = wanted - len(self._held)
        return missing if missing * 2 >= wanted else 0

    def give(self, items: Sequence[Item]) -> None:
        """Send items."""
        name, data = f"inbox/{self._attempt}.{self._batches}", b"".join(item.data for item in items)
        self._held.extend((self._batches, item) for item in items)
        self._batches += 1
        retry(lambda: self._node().deliver(name, data))  # the same again is no second time

    def took(self, batch: int) -> None:
        """It has begun with a batch."""
        self._taken = batch

    @property
    def at_work_on(self) -> Item | None:
        """The item that it has begun and not done; None when there is none."""
        return self._held[0][1] if self._held and self._held[0][0] <= self._taken else None

    def done(self, number: int, seconds: float) -> Item | None:
        """Return the item that was said to be done; None when it is not its own any more."""
        self._seconds = seconds if self._seconds is None else 0.8 * self._seconds + 0.2 * seconds
        if not self._held or self._held[0][1].number != number:
            return None
        return self._held.popleft()[1]

    def beat(self) -> None:
        """Tell it that somebody is here."""
        if self.ready:
            with suppress(FlowError):
                self._node().deliver("inbox/beat", b"")

    def dismiss(self) -> None:
        """Have it end after what it does now."""
        dismiss(self._flow, self.task, self.ready)

    def close(self) -> None:
        """Follow it no longer."""
        self._closed.set()

    def _node(self) -> Node:
        return _node(self._flow, self.task)


def dismiss(flow: Flow, task: Task[Any], begun: bool) -> None:
    """Have a worker end after the item that it does now; what has not begun is cancelled."""
    if begun:
        with suppress(FlowError):
            _node(flow, task).deliver("inbox/end", b"")
            return
    task.cancel(0.0)


def _node(flow: Flow, task: Task[Any]) -> Node:
    from flow_core.nodes import open_node
    from flow_core.types import parse_ref

    row = task.row
    for access in flow.session.provider(row.profile).node_access(parse_ref(row.ref or "")[2]):
        if access.rank == 0:
            return open_node(access)
    raise CapabilityError(f"{row.profile} gives no access to the node of {row.id}", "map needs a provider that does")
