"""What is right about tasks and what they kept: a type checker is content, and knows what is returned."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import flow
from flow_core import nodes

task: flow.Task = flow.run("true", gpu="a100", outputs=["out/**"], stream=False)
code: int | None = flow.submit(["true"], env={"A": "1"}, time_limit="1h").wait(timeout=1.0)
found: list[flow.Task] = flow.tasks(limit=3)
kept: list[flow.Artifact] = task.artifacts
place: Path = kept[0].download("here")
text: bytes = kept[0].open().read()
pieces: Iterator[bytes] = kept[0].read(offset=10)
chunks: Iterator[flow.LogChunk] = task.logs()
plan: flow.Plan = flow.Flow().plan(flow.Flow().config("true"))
status: int = flow.exit_status(task.row)
node: object = nodes.Node


async def main() -> None:
    there: flow.aio.AsyncTask = await flow.aio.submit("true")
    print(await there.wait())


asyncio.run(main())
