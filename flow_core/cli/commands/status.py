"""``flow status``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from flow_core.cli._invocation import command_name
from flow_core.cli._options import json_option, tasks_argument


@click.command("status")
@tasks_argument(required=False)
@click.option("--all", "everything", is_flag=True, help="Show every task, not the newest 20 and the live ones.")
@click.option("--watch", is_flag=True, help="Go on showing what changes, until Ctrl-C.")
@json_option
@click.pass_context
def command(ctx: click.Context, tasks: Sequence[str], everything: bool, watch: bool, as_json: bool) -> None:
    """Show tasks; with one TASK its attempts and nodes too.

    The newest 20 and all live ones, newest first. Tasks are named by id, the beginning of an id, or name.
    """
    from flow_core.cli._status import Status

    status = Status(tasks, everything)
    if watch:
        from flow_core.cli._watch import watch as follow

        follow(status, as_json)
    elif as_json:
        from flow_core.cli._envelope import emit

        status.update()
        emit(status.data(), command_name(ctx))
    else:
        status.update()
        status.show()
