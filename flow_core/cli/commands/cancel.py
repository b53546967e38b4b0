"""``flow cancel``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from flow_core.cli._envelope import emit
from flow_core.cli._options import duration, json_option, tasks_argument
from flow_core.cli._rows import detail
from flow_core.cli._talk import quoted, say, say_which
from flow_core.client import Flow


@click.command("cancel")
@tasks_argument(required=True)
@click.option("--grace", type=duration, metavar="TIME", help="Between the stop signal and force; default: the task's.")
@json_option
def command(tasks: Sequence[str], grace: float | None, as_json: bool) -> None:
    """End tasks: stop signal, grace, then by force. Returns as soon as that is on its way."""
    flow = Flow()
    found = [flow.task(word) for word in tasks]
    for word, task in zip(tasks, found, strict=True):
        say_which(word, task.row)
        going = task.cancel(grace)
        say(f"cancelling {quoted(task.row)}" if going else f"{quoted(task.row)} had ended: {task.row.state}")
    if as_json:
        emit([detail(flow, task.row) for task in found])
