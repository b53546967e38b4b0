"""What a command that waits for a task exits with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_core.errors import TaskLostError

if TYPE_CHECKING:
    from flow_core.journal import TaskRow

TIMED_OUT_STATUS, CANCELLED_STATUS = 124, 130


def exit_status(row: TaskRow) -> int:
    """Return what a command that waits for this task exits with.

    The task's own exit code; 124 when its time limit ended it, 130 when it was cancelled before it had one.
    Raises TaskLostError when nobody knows how it ended.
    """
    if row.state == "lost":
        raise TaskLostError(f"{row.id} is lost: {row.reason}", f"run it again: flow retry {row.id}")
    if row.state == "timed_out":
        return TIMED_OUT_STATUS
    if row.exit_code is not None and (row.exit_code, row.state) != (0, "failed"):
        return row.exit_code  # what was ended as unhealthy has failed, also when it says 0
    return {"succeeded": 0, "cancelled": CANCELLED_STATUS}.get(row.state, 1)
