"""Many calls of one function over a few workers: each a task whose process serves item after item."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

import attrs

from flow_core.errors import CapabilityError, ConfigError, FlowError, TaskFailed
from flow_core.functions import _invoke, _resume
from flow_core.functions._items import Item, Told, numbered
from flow_core.functions._outcome import Reading
from flow_core.functions._worker import Worker

if TYPE_CHECKING:
    from flow_core.client import Flow, Plan
    from flow_core.functions._call import Call
    from flow_core.functions._invoke import Wanted
    from flow_core.functions._resume import Past

_WINDOW = 2048  # items that are begun and not yet handed out
_HELD_BYTES = 64 << 20  # of results that wait for an earlier one
_EVENTS = 256  # that workers may be ahead of their client
_BEAT = 20.0  # seconds
_IDLE = 120.0  # seconds without a beat after which a worker leaves
_LOOK = 0.5  # seconds between two looks whether anybody wants more
_LEAVE = 10.0  # seconds that workers have to end


@attrs.frozen
class How:
    """How a map is run; see :meth:`flow_core.functions._remote.RemoteFunction.map`."""

    max_workers: int | None = None
    ordered: bool = True
    return_exceptions: bool = False
    resume: str | None = None
    many: bool = False
    stopped: Callable[[], bool] = lambda: False


def run(
    flow: Flow, wanted: Wanted, items: Iterable[Any], fields: Mapping[str, Any], how: How
) -> Generator[Any, None, None]:
    """Check everything, then return the iterator of the results. Raises ConfigError before anything is submitted."""
    if how.max_workers is not None and how.max_workers < 1:
        raise ConfigError(f"max_workers is {how.max_workers}", "give at least 1")
    retries = int(fields.get("retries", 0))
    labels = {**fields.get("labels", {}), **_resume.labels(wanted, how.resume)}
    plan, target = _invoke.prepare(flow, wanted, {**fields, "retries": 0, "labels": labels})
    if "flow_node_access" not in plan.provider.supports:
        raise CapabilityError(f"{plan.profile.name} gives no access to its nodes", "map needs a provider that does")
    if plan.config.num_instances * plan.config.processes_per_node > 1:
        raise ConfigError("a worker of map is one process", "leave out num_instances and processes_per_node")
    call = _invoke.make(plan, wanted, target, (), {}, {"map": _IDLE})
    return _Map(flow, wanted, plan, call, retries, how).results(numbered(items, how.many))


class _Map:
    def __init__(self, flow: Flow, wanted: Wanted, plan: Plan, call: Call, retries: int, how: How) -> None:
        self._flow, self._wanted, self._plan, self._call = flow, wanted, plan, call
        self._retries, self._how = retries, how
        self._most = how.max_workers or _default_workers(plan)
        self._reading = Reading(wanted.title, wanted.trusted, _invoke.file_of(flow, plan, call.target))
        self._events: Queue[tuple[Worker, Told | Exception | None]] = Queue(_EVENTS)
        self._workers: list[Worker] = []
        self._never_began = 0
        self._waiting: deque[Item] = deque()
        self._done: dict[int, Told | FlowError | None] = {}  # None: in the past
        self._bytes = 0
        self._begun = self._handed_out = 0
        self._exhausted = False
        self._past: Past | None = None

    def results(self, source: Iterator[Item]) -> Generator[Any, None, None]:
        """Yield the results; whatever ends this ends the workers."""
        over = threading.Event()
        with ExitStack() as stack:
            if self._how.resume is not None:
                self._past = stack.enter_context(_resume.past(self._flow, self._wanted, self._how.resume))
            stack.callback(self._cancel)
            stack.callback(over.set)
            threading.Thread(target=self._beat, args=(over,), name="flow: beat", daemon=True).start()
            while not (self._exhausted and self._handed_out == self._begun) and not self._how.stopped():
                self._feed(source)
                yield from self._ready()
                if self._handed_out + len(self._done) < self._begun:
                    self._listen()
            if not self._how.stopped():
                self._dismiss()

    def _feed(self, source: Iterator[Item]) -> None:
        """Take what the workers have room for, and give it to them; start those that are missing."""
        wanted = sum(worker.room for worker in self._workers) + self._most - len(self._workers)
        while len(self._waiting) < wanted and (item := self._next(source)) is not None:
            self._waiting.append(item)
        while len(self._workers) < self._most and len(self._waiting) > sum(map(_appetite, self._workers)):
            self._start()
        ready = [worker for worker in self._workers if worker.room]
        for left, worker in zip(range(len(ready), 0, -1), ready, strict=True):
            share = min(worker.room, -(-len(self._waiting) // left))
            if share:
                worker.give([self._waiting.popleft() for _ in range(share)])

    def _next(self, source: Iterator[Item]) -> Item | None:
        """Take one item that is still to be done; None when there is none, or too much is under way."""
        while not self._exhausted and self._begun - self._handed_out < _WINDOW and self._bytes < _HELD_BYTES:
            item = next(source, None)
            if item is None:
                self._exhausted = True
                break
            self._begun += 1
            if self._past is None or not self._past.has(item):
                return item
            self._done[item.number] = None
        return None

    def _start(self) -> None:
        task = _invoke.submit_call(self._flow, self._plan, self._wanted, self._call)
        self._workers.append(Worker(self._flow, task, self._events))

    def _ready(self) -> Iterator[Any]:
        """Yield what can be handed out now."""
        while self._done:
            number = self._handed_out if self._how.ordered else next(iter(self._done))
            if number not in self._done:
                return
            told = self._done.pop(number)
            self._handed_out += 1
            yield self._value(number, told)

    def _value(self, number: int, told: Told | FlowError | None) -> Any:
        try:
            if isinstance(told, FlowError):
                raise told
            if told is None:
                assert self._past is not None
                return self._reading.outcome(*self._past.told(number))
            self._bytes -= _size(told)
            return self._reading.outcome(*told)
        except Exception as error:
            if self._how.return_exceptions:
                return error
            raise

    def _listen(self) -> None:
        """Wait for what a worker says, and hear all that was said by then."""
        while not self._how.stopped():
            with suppress(Empty):
                self._hear(*self._events.get(timeout=_LOOK))
                break
        with suppress(Empty):
            for _ in range(_EVENTS):
                self._hear(*self._events.get_nowait())

    def _hear(self, worker: Worker, said: Told | Exception | None) -> None:
        if isinstance(said, Exception):
            raise said
        if said is None:
            self._ended(worker)
            return
        header = said[0]
        if header["kind"] == "ready":
            self._waiting.extendleft(reversed(worker.begin(header["attempt"])))
        elif header["kind"] == "took":
            worker.took(header["batch"])
        else:
            self._told(worker, said)

    def _told(self, worker: Worker, said: Told) -> None:
        header = said[0]
        item = worker.done(header["item"], header["seconds"])
        if item is None:
            return
        if header["kind"] == "error" and item.tries < self._retries:
            item.tries += 1
            self._waiting.appendleft(item)
            return
        self._done[item.number] = said
        self._bytes += _size(said)

    def _ended(self, worker: Worker) -> None:
        """A worker is no more: what it held is for the others, what it was at has failed."""
        self._workers.remove(worker)
        worker.close()
        worker.task.wait_until(lambda: None)
        if not worker.ready:
            self._never_began += 1
            if self._never_began > self._retries:
                worker.task.result()
                raise TaskFailed(f"the worker {worker.task.id} ended before it began", f"flow logs {worker.task.id}")
        culprit = worker.at_work_on
        for item in reversed(worker.left()):
            if item is culprit:
                item.tries += 1
            if item.tries > self._retries:
                reason = (
                    f"item {item.number}: its worker {worker.task.id} {worker.task.row.state}: {worker.task.row.reason}"
                )
                self._done[item.number] = TaskFailed(reason, "let it be tried again with retries")
            else:
                self._waiting.appendleft(item)

    def _dismiss(self) -> None:
        """End the workers, who have nothing left to do, and wait for that."""
        for worker in self._workers:
            worker.dismiss()
        with suppress(Empty):
            while self._workers:
                worker, said = self._events.get(timeout=_LEAVE)
                if said is None or isinstance(said, Exception):
                    self._workers.remove(worker)
                    worker.close()
                    worker.task.wait_until(lambda: None)

    def _cancel(self) -> None:
        for worker in self._workers:
            worker.close()
            with suppress(FlowError):
                worker.task.cancel()

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(_BEAT):
            for worker in list(self._workers):
                worker.beat()


def _appetite(worker: Worker) -> int:
    """How many of the waiting items a worker will take, as far as is known."""
    return worker.room if worker.ready else 1


def _size(told: Told) -> int:
    return sum(map(len, told[1]))


def _default_workers(plan: Plan) -> int:
    """One for each core where workers run on this machine; elsewhere one, for each may cost a machine."""
    return len(os.sched_getaffinity(0)) if plan.provider.facts.shares_client_files else 1
