"""``flow.submit`` and the other functions of the module: each uses the client of the folder and environment it is called in."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flow_core.client import Flow, Task

if TYPE_CHECKING:
    import sys

    if sys.version_info >= (3, 11):
        from typing import Unpack
    else:
        from typing_extensions import Unpack

    from flow_core.client._fields import TaskFields
    from flow_core.client._flow import Command


@lru_cache(maxsize=4)
def _client(pid: int, cwd: str, settings: tuple[tuple[str, str], ...]) -> Flow:  # noqa: ARG001 - they are the cache's key
    return Flow(cwd)


def client() -> Flow:
    """Return the client for the current folder and ``FLOW_*`` environment; kept while these stay the same."""
    settings = tuple(sorted(item for item in os.environ.items() if item[0].startswith(("FLOW_", "XDG_"))))
    return _client(os.getpid(), str(Path.cwd()), settings)


def submit(command: Command, /, **fields: Unpack[TaskFields]) -> Task:
    """Submit a task and return at once, as ``subprocess.Popen``; the task outlives this process."""
    return client().submit(command, **fields)


def run(command: Command, /, *, check: bool = False, stream: bool = True, **fields: Unpack[TaskFields]) -> Task:
    """Submit a task, wait for its end and return it, as ``subprocess.run``."""
    return client().run(command, check=check, stream=stream, **fields)


def task(name: str) -> Task:
    """Find a task by id, unique id prefix, or name."""
    return client().task(name)


def tasks(limit: int | None = 20, **only: Any) -> list[Task]:
    """Return the newest tasks first."""
    return client().tasks(limit, **only)
