"""What a command that has submitted and does not wait still does for its tasks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flow_core.cli._interrupts import Interrupted
from flow_core.cli._talk import quoted, say
from flow_core.client._hand_over import hand_over

if TYPE_CHECKING:
    from flow_core.client import Flow, Task


def stay(flow: Flow, tasks: Sequence[Task], quiet: bool) -> None:
    """Stay, where a provider has no other way to the code and secrets than from here; an interrupt leaves at once."""
    waiting = list(tasks)
    try:
        waiting = [task for task in tasks if task.needs_hand_over]
        if waiting and not quiet:
            say(
                f"staying until the machine of {_names(waiting)} has its code and secrets (Ctrl-C leaves: {_go_on(waiting)})"
            )
        sys.stdout.flush()
        hand_over(flow.session, waiting, lambda: False)
        if waiting and not quiet:
            say(f"{_names(waiting)} needs this command no more")
    except Interrupted:
        say(f"left; {_names(waiting)} waits for its code and secrets: {_go_on(waiting)}")


def _names(tasks: Sequence[Task]) -> str:
    return ", ".join(quoted(task.row) for task in tasks)


def _go_on(tasks: Sequence[Task]) -> str:
    return f"flow status {' '.join(task.id for task in tasks)} delivers them later"
