"""Any number of waits, in threads of their own, each of which ends when nobody awaits it any more."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

import flow_core as flow
from flow_core import Flow
from flow_core.errors import ConfigError, TaskFailed

pytestmark = pytest.mark.usefixtures("flow")


def _run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, 30))


def test_twenty_tasks_at_once() -> None:
    async def main() -> list[int]:
        tasks = await asyncio.gather(*[flow.aio.submit(f"exit {code}") for code in range(20)])
        return await asyncio.gather(*[task.wait() for task in tasks])

    assert _run(main()) == list(range(20))


def test_waits_leave_room_for_the_cancel_that_ends_them() -> None:
    async def main() -> set[int]:
        tasks = await asyncio.gather(*[flow.aio.submit("sleep 60") for _ in range(40)])
        waits = [asyncio.ensure_future(task.wait()) for task in tasks]
        await asyncio.sleep(0)
        await asyncio.gather(*[task.cancel(grace=0.0) for task in tasks])
        return set(await asyncio.gather(*waits))

    assert _run(main()) <= {130, 137, 143}


def test_a_wait_that_is_cancelled_leaves_the_task_running_and_no_thread(eventually) -> None:
    before = threading.active_count()

    async def main() -> str:
        task = await flow.aio.submit("sleep 60")
        wait = asyncio.ensure_future(task.wait())
        stream = asyncio.ensure_future(task.stream(io.BytesIO(), io.BytesIO()))
        await asyncio.sleep(0.2)
        for one in (wait, stream):
            one.cancel()
            with pytest.raises(asyncio.CancelledError):
                await one
        return await task.status()

    assert _run(main()) in ("pending", "running")
    eventually(lambda: threading.active_count() <= before)


def test_many_followers_see_every_byte() -> None:
    async def follow(task: flow.aio.AsyncTask) -> bytes:
        return b"".join([chunk.data async for chunk in task.logs(follow=True)])

    async def main() -> set[bytes]:
        task = await flow.aio.submit("seq 1000; sleep 0.2; seq 1000 2000")
        return set(await asyncio.gather(*[follow(task) for _ in range(20)]))

    assert _run(main()) == {"".join(f"{n}\n" for n in [*range(1, 1001), *range(1000, 2001)]).encode()}


def test_a_reader_that_stops_early_ends_its_thread(eventually) -> None:
    before = threading.active_count()

    async def main() -> bytes:
        task = await flow.aio.submit("yes | head -c 50000000; sleep 60")
        async for chunk in task.logs(follow=True):
            return chunk.data[:2]
        return b""

    assert _run(main()) == b"y\n"
    eventually(lambda: threading.active_count() <= before)


def test_errors_reach_the_one_who_awaits() -> None:
    async def main() -> None:
        with pytest.raises(ConfigError):
            await flow.aio.submit("")
        task = await flow.aio.submit("exit 3")
        with pytest.raises(TaskFailed):
            await task.wait(check=True)
        with pytest.raises(TimeoutError):
            await (await flow.aio.submit("sleep 60")).wait(timeout=0.1)

    _run(main())
    assert len(Flow().tasks()) == 2
