"""``flow.aio``: functions that are awaited."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import pytest

import flow_core as flow


def square(x: int) -> int:
    return x * x


def wait(x: int) -> int:
    Path("waiting").touch()
    time.sleep(3600)
    return x


def test_functions_are_awaited() -> None:
    async def main() -> None:
        assert await flow.aio.invoke("src/train.py", "train", args=[0.5], stream=False) == {"loss": 1.5}
        assert await flow.aio.invoke(square, args=[4], stream=False) == 16
        remote = flow.aio.function(cpus=1)(square)
        assert remote(3) == 9
        assert await remote.remote(5) == 25
        tasks = [await remote.submit(n) for n in range(3)]
        assert await asyncio.gather(*(task.result(20) for task in tasks)) == [0, 1, 4]

    asyncio.run(main())


def test_an_exception_is_raised_where_it_is_awaited() -> None:
    with pytest.raises(ValueError, match="bad"):
        asyncio.run(flow.aio.invoke("src/train.py", "fail", args=["bad"], stream=False))


def test_a_map_is_iterated_and_its_end_cancels_the_workers() -> None:
    async def main() -> list[int]:
        results = flow.aio.function(square).map(itertools.count(), max_workers=1)
        found = [await anext(results) for _ in range(20)]
        await results.aclose()  # type: ignore[attr-defined]
        return found

    assert asyncio.run(main()) == [x * x for x in range(20)]
    (task,) = flow.tasks()
    task.wait(20)
    assert task.status == "cancelled"


@pytest.mark.parametrize("how", ["remote", "map"])
def test_a_cancelled_wait_cancels_the_task(place: Path, how: str) -> None:
    async def first() -> int:
        function = flow.aio.function(wait)
        return await (function.remote(1) if how == "remote" else anext(function.map([1])))

    async def main() -> None:
        waiting = asyncio.ensure_future(first())
        while not (place / "waiting").exists():
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    (task,) = flow.tasks()
    task.wait(20)
    assert task.status == "cancelled"
