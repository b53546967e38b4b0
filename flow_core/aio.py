"""The same for asyncio: ``flow.aio.run``, ``flow.aio.submit``; what waits, waits in a thread and can be cancelled."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import update_wrapper
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, ParamSpec, TypeVar, cast, overload

from flow_core import _functions
from flow_core.client import Task
from flow_core.client._logs import STREAMS
from flow_core.types import LogChunk, LogCursor

if TYPE_CHECKING:
    import sys

    if sys.version_info >= (3, 11):
        from typing import Unpack
    else:
        from typing_extensions import Unpack

    import typing_extensions

    from flow_core.client._fields import FunctionFields, TaskFields
    from flow_core.client._flow import Command
    from flow_core.functions import RemoteFunction

    R_co = typing_extensions.TypeVar("R_co", covariant=True, default=Any)
else:
    R_co = TypeVar("R_co", covariant=True)

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
_AHEAD = 64  # chunks


class AsyncTask(Generic[R_co]):
    """A submitted task; ``task`` is the same for code that may block."""

    def __init__(self, task: Task[R_co]) -> None:
        self.task = task
        self.id = task.id
        self.name = task.name

    async def status(self) -> str:
        """The state now."""
        return await asyncio.to_thread(lambda: self.task.status)

    async def exit_code(self) -> int | None:
        """The exit code, or None while there is none."""
        return await asyncio.to_thread(lambda: self.task.exit_code)

    async def ready(self) -> bool:
        """Whether it runs and all its nodes are ready."""
        return await asyncio.to_thread(lambda: self.task.ready)

    async def forward(self, port: int | str, rank: int = 0) -> tuple[str, int]:
        """The (host, port) of this machine that leads to the node's ``port``: a number, or a name of its ``ports``."""
        return await asyncio.to_thread(self.task.forward, port, rank)

    async def cancel(self, grace: float | None = None) -> bool:
        """End the task; False when it had ended."""
        return await asyncio.to_thread(self.task.cancel, grace)

    async def wait(self, timeout: float | None = None, check: bool = False) -> int:
        """Wait for the end and return the exit status. Raises TimeoutError; a cancelled wait leaves the task running."""
        limit = None if timeout is None else time.monotonic() + timeout
        with _stopping() as stop:
            return await _alone(lambda: self.task.wait_until(stop.deadline(limit), check))

    async def result(self, timeout: float | None = None, trusted: bool = True) -> R_co:
        """Wait for the end of a function and return its value, as :meth:`flow_core.Task.result` does."""
        await self.wait(timeout)
        return await asyncio.to_thread(self.task.result, None, trusted)

    async def logs(
        self,
        follow: bool = False,
        cursor: LogCursor | None = None,
        ranks: Collection[int] | None = None,
        streams: Collection[str] = STREAMS,
        deadline: float | None = None,
    ) -> AsyncIterator[LogChunk]:
        """Yield the log as bytes; a reader that is slow slows the reading, not the task."""
        with _stopping() as stop:
            reading = self.task.read(follow, cursor, ranks, streams, stop.deadline(deadline))
            async for chunk in _read_ahead(reading, stop):
                yield chunk

    async def stream(self, out: BinaryIO, err: BinaryIO, redact: bool = True) -> None:
        """Copy the log to ``out`` and ``err`` until the end, as :meth:`flow_core.Task.stream` does."""
        with _stopping() as stop:
            await _alone(lambda: self.task.stream(out, err, redact=redact, deadline=stop.deadline(None)))


class _Stop(threading.Event):
    def deadline(self, limit: float | None) -> Callable[[], float | None]:
        """Return a deadline (monotonic) that is past as soon as this is set."""
        return lambda: -math.inf if self.is_set() else limit


@contextmanager
def _stopping() -> Iterator[_Stop]:
    """Have the thread that works for an ``await`` end with it, whatever ends that."""
    stop = _Stop()
    try:
        yield stop
    finally:
        stop.set()


async def _alone(call: Callable[[], T]) -> T:
    """Return what ``call`` returns, from a thread of its own: those of the event loop are few, and may all be waiting."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(value: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("T", value))

    def work() -> None:
        value, error = None, None
        try:
            value = call()
        except BaseException as raised:  # it belongs to the one who awaits
            error = raised
        with suppress(RuntimeError):  # the loop is gone, and with it who waited
            loop.call_soon_threadsafe(finish, value, error)

    threading.Thread(target=work, name="flow: wait", daemon=True).start()
    return await done


async def _read_ahead(reading: Iterator[T], stop: _Stop) -> AsyncIterator[T]:
    """Yield what a thread of its own reads, which is never more than a few chunks ahead."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[tuple[T] | None] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)

    def pump() -> None:
        with closing(cast("Any", reading)):
            for chunk in reading:
                room.acquire()
                if stop.is_set():
                    return
                loop.call_soon_threadsafe(chunks.put_nowait, (chunk,))

    ending = asyncio.ensure_future(_alone(pump))
    ending.add_done_callback(lambda _: chunks.put_nowait(None))
    try:
        while (chunk := await chunks.get()) is not None:
            room.release()
            yield chunk[0]
        await ending
    finally:
        stop.set()
        room.release()
        ending.cancel()


class AsyncFunction(Generic[P, R]):
    """A decorated function; ``function`` is the same for code that may block. Calling it calls it here."""

    def __init__(self, function: RemoteFunction[P, R]) -> None:
        update_wrapper(self, function.local)
        self.function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here."""
        return self.function(*args, **kwargs)

    def options(self, **fields: Unpack[FunctionFields]) -> AsyncFunction[P, R]:
        """Return the same function with other words laid over its own."""
        return AsyncFunction(self.function.options(**fields))

    async def submit(self, *args: P.args, **kwargs: P.kwargs) -> AsyncTask[R]:
        """Submit a call and return at once."""
        return AsyncTask(await _in_thread(self.function.submit, *args, **kwargs))

    async def remote(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function as a task, and return its value or raise what it raised; a cancelled wait cancels the task."""
        return await _finish(await self.submit(*args, **kwargs), True, self.function.trusted)

    async def map(
        self,
        items: Iterable[Any],
        *,
        max_workers: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        resume: str | None = None,
    ) -> AsyncIterator[R]:
        """Call the function for each item and yield the results, as :meth:`flow_core.RemoteFunction.map` does."""
        from flow_core.functions._map import How

        with _stopping() as stop:
            how = How(max_workers, ordered, return_exceptions, resume, stopped=stop.is_set)
            async for result in _read_ahead(self.function.run_map(items, how), stop):
                yield result


async def _finish(task: AsyncTask[R], stream: bool, trusted: bool) -> R:
    from flow_core.client._output import standard_streams

    try:
        if stream:
            await task.stream(*standard_streams())
        return await task.result(trusted=trusted)
    except asyncio.CancelledError:
        await asyncio.shield(task.cancel(0.0))
        raise


async def submit(command: Command, /, **fields: Unpack[TaskFields]) -> AsyncTask:
    """Submit a task and return at once."""
    return AsyncTask(await _in_thread(_functions.submit, command, **fields))


async def run(
    command: Command, /, *, check: bool = False, stream: bool = True, **fields: Unpack[TaskFields]
) -> AsyncTask:
    """Submit a task, wait for its end and return it; its output goes to stdout and stderr unless ``stream`` is false."""
    task = await submit(command, **fields)
    if stream:
        from flow_core.client._output import standard_streams

        await task.stream(*standard_streams())
    await task.wait(check=check)
    return task


@overload
async def invoke(
    function: Callable[..., R],
    /,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] = MappingProxyType({}),
    stream: bool = True,
    **fields: Unpack[FunctionFields],
) -> R: ...


@overload
async def invoke(
    file: str | os.PathLike[str],
    name: str,
    /,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] = MappingProxyType({}),
    stream: bool = True,
    **fields: Unpack[FunctionFields],
) -> Any: ...


async def invoke(
    function: Callable[..., Any] | str | os.PathLike[str],
    name: str = "",
    /,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] = MappingProxyType({}),
    stream: bool = True,
    **fields: Unpack[FunctionFields],
) -> Any:
    """Call a Python function as a task, as :func:`flow_core.invoke` does; a cancelled wait cancels the task."""
    from flow_core.functions._invoke import submit as submit_call
    from flow_core.functions._remote import split

    wanted, rest = split(function, name, fields)
    task = await _in_thread(submit_call, _functions.client(), wanted, args, kwargs, rest)
    return await _finish(AsyncTask(task), stream, wanted.trusted)


@overload
def function(function: Callable[P, R], /) -> AsyncFunction[P, R]: ...


@overload
def function(**fields: Unpack[FunctionFields]) -> Callable[[Callable[P, R]], AsyncFunction[P, R]]: ...


def function(function: Callable[..., Any] | None = None, /, **fields: Unpack[FunctionFields]) -> Any:
    """Decorate an ordinary function, as :func:`flow_core.function` does; what it calls elsewhere is awaited."""
    from flow_core.functions._remote import RemoteFunction

    def decorate(local: Callable[P, R]) -> AsyncFunction[P, R]:
        return AsyncFunction(RemoteFunction(local, _functions.client, fields))

    return decorate if function is None else decorate(function)


async def task(name: str) -> AsyncTask:
    """Find a task by id, unique id prefix, or name."""
    return AsyncTask(await _in_thread(_functions.task, name))


async def _in_thread(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    return await asyncio.to_thread(call, *args, **kwargs)
