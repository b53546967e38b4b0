"""``flow top``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from flow_core.cli._options import duration, json_option, tasks_argument


@click.command("top")
@tasks_argument(required=False)
@click.option(
    "--interval",
    type=duration,
    default="2s",
    show_default=True,
    metavar="TIME",
    help="Between two looks on a terminal.",
)
@json_option
def command(tasks: Sequence[str], interval: float, as_json: bool) -> None:
    """Show what running tasks use of their nodes: cores, memory, GPUs.

    On a terminal it goes on until Ctrl-C; in a pipe it looks once. Without TASK all that run.
    """
    from flow_core.cli._table import is_terminal
    from flow_core.cli._top import Top, watch

    top = Top(tasks)
    if is_terminal() and not as_json:
        watch(top, interval)
        return
    top.look_twice()
    if as_json:
        from flow_core.cli._envelope import emit

        emit(top.data())
    else:
        top.show()
