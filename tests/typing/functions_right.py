"""What is right about functions: a type checker is content, and knows the results."""

from __future__ import annotations

import asyncio

import flow
import flow_core


def scale(x: int, by: float = 1.0) -> str:
    return str(x * by)


@flow.function(gpu="a100", retries=2)
def train(rate: float, *, steps: int = 3) -> dict[str, float]:
    return {"loss": rate * steps}


local: dict[str, float] = train(0.1, steps=2)
far: dict[str, float] = train.remote(0.1, steps=2)
task: flow_core.Task[dict[str, float]] = train.submit(0.1)
value: dict[str, float] = task.result(timeout=60)
losses: list[dict[str, float]] = list(train.options(cpus=2).map([0.1, 0.2], ordered=False))
text: str = flow.invoke(scale, args=[1], cpus=1)
anything: flow_core.Task = flow.task("train")
plain: str = flow.function(scale).remote(3, by=2.0)


async def main() -> None:
    there: str = await flow.aio.function(scale).remote(3, by=2.0)
    told: str = await flow.aio.invoke(scale, args=[there])
    print(told)


asyncio.run(main())
