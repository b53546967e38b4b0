"""``flow wait``."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from flow_core.cli._envelope import emit
from flow_core.cli._invocation import TaskStatus
from flow_core.cli._options import duration, json_option, tasks_argument
from flow_core.cli._rows import detail
from flow_core.cli._talk import ending, say, say_missing, say_which
from flow_core.client import Flow, exit_status
from flow_core.errors import TransientError


@click.command("wait")
@tasks_argument(required=True)
@click.option("--ready", is_flag=True, help="Wait until the tasks are ready instead: services that are well.")
@click.option("--timeout", type=duration, metavar="TIME", help="Give up after TIME; the tasks go on.")
@json_option
def command(tasks: Sequence[str], ready: bool, timeout: float | None, as_json: bool) -> int:
    """Wait until the tasks have ended, and exit with the first code that is not zero."""
    flow = Flow()
    found = [flow.task(word) for word in tasks]
    for word, task in zip(tasks, found, strict=True):
        say_which(word, task.row)
    deadline = None if timeout is None else time.monotonic() + timeout
    for task in found:
        left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        try:
            task.wait_ready(left) if ready else task.wait(left)
        except TimeoutError as error:
            raise TransientError(f"{error} after {timeout:g} s", "it goes on; wait again") from error
        if task.row.state != "succeeded" and not ready and not as_json:
            say(ending(task.row))
        if not ready and not as_json:
            say_missing(task)
    if as_json:
        emit([detail(flow, task.row) for task in found])
    if ready:
        return 0
    codes = [exit_status(task.row) for task in found]
    return TaskStatus(next((code for code in codes if code), 0))
