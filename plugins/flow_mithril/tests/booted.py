"""What tests on booted machines do with a task and with what is below it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from flow_core import Flow
from flow_core.client import Task
from flow_core.types import parse_ref
from flow_mithril.testing import Double

PATIENCE = 120.0
Make = Callable[..., Flow]


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return answer


def fid(task: Task) -> str:
    assert task.row.ref is not None
    return parse_ref(task.row.ref)[2].id


def bid(platform: Double, task: Task) -> Mapping[str, Any]:
    with platform.world.lock:
        return dict(platform.world.table("bids")[fid(task)])


def bid_status(platform: Double, task: Task) -> str:
    platform.settle()
    return str(bid(platform, task)["status"])


def machine(platform: Double, task: Task, rank: int = 0) -> str:
    return str(bid(platform, task)["instances"][rank])


def live_keys(platform: Double) -> list[str]:
    with platform.world.lock:
        return [row["name"] for row in platform.world.all("api_keys") if not row["deactivated_at"]]


def begun(task: Task) -> Task:
    until(lambda: task.status == "running", "it never runs")
    return task


def output(task: Task, **only: Any) -> bytes:
    chunks = [c for c in task.logs() if c.stream == "stdout" and all(getattr(c, k) == v for k, v in only.items())]
    return b"".join(chunk.data for chunk in chunks)
