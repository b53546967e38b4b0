"""The value of a task that calls a function: read from its node, or from where it was kept."""

from __future__ import annotations

import tempfile
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from flow_core.errors import FlowError, NotFoundError, StateError, TaskFailed
from flow_core.types import parse_ref

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.journal import TaskRow
    from flow_core.types import TaskConfig

_RESULT = "result"


def result(session: Session, row: TaskRow, config: TaskConfig, trusted: bool) -> Any:
    """Return the value of a final task or raise what it ended with; see :meth:`flow_core.Task.result`."""
    from flow_core.functions._outcome import Reading

    assert config.function is not None
    reading = Reading(config.function.name, trusted, function_file(config))
    try:
        with _open(session, row) as file:
            header, parts = reading.open(file)
    except NotFoundError as error:
        if row.state == "succeeded":
            raise StateError(f"the result of {row.id} is gone: {error}", "call the function again") from error
        raise _failed(row) from None
    # A node may have failed after the function; an earlier attempt may have left its own result.
    if header["attempt"] == row.attempt and (row.state == "succeeded" or header["kind"] == "error"):
        return reading.outcome(header, parts)
    raise _failed(row)


def function_file(config: TaskConfig) -> str:
    """Return where the file of a config's function is on this machine; empty when it is in none."""
    file = Path(config.code.root) / config.function.module if config.function else None
    return str(file) if file is not None and file.is_file() else ""


def _failed(row: TaskRow) -> TaskFailed:
    hint = f"see what it wrote: flow logs {row.id}"
    return TaskFailed(f"{row.id} {row.state}: {row.reason}", hint, task_exit_code=row.exit_code)


def _open(session: Session, row: TaskRow) -> BinaryIO:
    """Open the result: where the task's folder is seen from here the file itself, else a copy of what was kept."""
    from flow_core.client._kept import read_kept

    found = _here(session, row)
    if found is not None:
        return found
    pieces = read_kept(session, row, _RESULT, _RESULT)
    first = next(pieces, b"")  # which raises where there is none
    copy = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
    copy.writelines(chain([first], pieces))
    copy.seek(0)
    return copy


def _here(session: Session, row: TaskRow) -> BinaryIO | None:
    from flow_core.nodes._report import at_home

    try:
        ref = parse_ref(row.ref or "")[2]
        (access,) = [a for a in session.provider(row.profile).node_access(ref) if (a.rank, a.kind) == (0, "folder")]
        return at_home(Path(access.path), lambda place: open(place / _RESULT, "rb"))
    except (FlowError, ValueError):  # it is not here, or no more
        return None
