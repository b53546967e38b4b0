"""The value of a task that calls a function: read from its nodes, or from where it was kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from flow_core.errors import NotFoundError, StateError, TaskFailed, UnavailableError
from flow_core.types import parse_ref

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.journal import TaskRow
    from flow_core.types import TaskConfig

RESULT = "result"


def result(session: Session, row: TaskRow, config: TaskConfig, trusted: bool) -> Any:
    """Return the value of a final task or raise what it ended with; see :meth:`flow_core.Task.result`."""
    from flow_core.functions._outcome import Reading

    assert config.function is not None
    if row.state in ("succeeded", "failed"):
        file = Path(config.code.root) / config.function.module
        reading = Reading(config.function.name, trusted, str(file) if file.is_file() else "")
        with open_result(session, row) as found:
            if found is not None:
                return _told(reading, found, row)
    if row.state == "succeeded":
        raise StateError(f"the result of {row.id} is gone", "call the function again")
    raise _failed(row)


def _told(reading: Any, file: BinaryIO, row: TaskRow) -> Any:
    value = reading.file(file)
    if row.state != "succeeded":  # another node failed, or its process after the function
        raise _failed(row)
    return value


def _failed(row: TaskRow) -> TaskFailed:
    hint = f"see what it wrote: flow logs {row.id}"
    return TaskFailed(f"{row.id} {row.state}: {row.reason}", hint, task_exit_code=row.exit_code)


@contextmanager
def open_result(session: Session, row: TaskRow) -> Iterator[BinaryIO | None]:
    """Open the result of a task's last attempt; None when there is none."""
    found = _on_nodes(session, row)
    try:
        yield found
    finally:
        if found is not None:
            found.close()


def _on_nodes(session: Session, row: TaskRow) -> BinaryIO | None:
    from flow_core.client._logs import open_nodes

    if row.ref is None:
        return None
    provider = session.provider(row.profile)
    try:
        for node, _ in open_nodes(provider, parse_ref(row.ref)[2], [0]):
            return node.fetch(f"attempts/{row.attempt}/0/{RESULT}")
    except (NotFoundError, UnavailableError):
        return None
    return None
