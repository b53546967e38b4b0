"""``flow retry``."""

from __future__ import annotations

import sys

import click

from flow_core.cli._envelope import emit
from flow_core.cli._hand_over import stay
from flow_core.cli._interrupts import Interrupts
from flow_core.cli._options import json_option, task_argument
from flow_core.cli._rows import detail
from flow_core.cli._talk import quoted, say, say_which
from flow_core.client import Flow


@click.command("retry")
@task_argument
@json_option
def command(task: str, as_json: bool) -> None:
    """Submit the config of an earlier task again, as a new task, and print its id."""
    flow = Flow()
    earlier = flow.task(task).row
    say_which(task, earlier)
    again = flow.retry(earlier.id)
    if as_json:
        emit({**detail(flow, again.row), "retry_of": earlier.id})
    else:
        say(f"{quoted(again.row)} on {again.row.profile}, again from {earlier.id}")
        sys.stdout.write(f"{again.id}\n")
    with Interrupts():
        stay(flow, [again], quiet=False)
