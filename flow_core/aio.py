"""The same for asyncio: ``flow.aio.run``, ``flow.aio.submit``; what waits, waits in a thread and can be cancelled."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar

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

    from flow_core.client._fields import TaskFields
    from flow_core.client._flow import Command

T = TypeVar("T")


class AsyncTask:
    """A submitted task; ``task`` is the same for code that may block."""

    def __init__(self, task: Task) -> None:
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
        deadline = None if timeout is None else time.monotonic() + timeout
        async for _ in self.logs(follow=True, streams=(), deadline=deadline):
            pass
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return await asyncio.to_thread(self.task.wait, left, check)

    async def logs(
        self,
        follow: bool = False,
        cursor: LogCursor | None = None,
        ranks: Collection[int] | None = None,
        streams: Collection[str] = STREAMS,
        deadline: float | None = None,
    ) -> AsyncIterator[LogChunk]:
        """Yield the log as bytes; a reader that is slow slows the reading, not the task."""
        stop = threading.Event()

        def limit() -> float | None:
            return time.monotonic() if stop.is_set() else deadline

        reading = self.task.read(follow, cursor, ranks, streams, limit)
        try:
            while (chunk := await asyncio.to_thread(next, reading, None)) is not None:
                yield chunk
        finally:
            stop.set()


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

        await asyncio.to_thread(task.task.stream, *standard_streams())
    await task.wait(check=check)
    return task


async def task(name: str) -> AsyncTask:
    """Find a task by id, unique id prefix, or name."""
    return AsyncTask(await _in_thread(_functions.task, name))


async def _in_thread(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    return await asyncio.to_thread(call, *args, **kwargs)
