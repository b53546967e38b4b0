"""``flow logs``."""

from __future__ import annotations

import click

from flow_core.cli._options import duration, json_option, task_argument


@click.command("logs")
@task_argument
@click.option("-f", "--follow", is_flag=True, help="Go on until the task ends, and exit with its code.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines of each stream.")
@click.option("--since", type=duration, metavar="TIME", help="Only what was written in the last TIME, as 10m.")
@click.option("--node", type=click.IntRange(min=0), metavar="N", help="Only the node of this rank.")
@click.option("--stdout", "stdout", is_flag=True, help="Only what the task wrote to stdout.")
@click.option("--stderr", "stderr", is_flag=True, help="Only what the task wrote to stderr.")
@click.option("--timestamps", is_flag=True, help="Put the time (UTC) in front of each line.")
@click.option("--no-redact", is_flag=True, help="Show the values of the task's own secrets.")
@json_option
def command(
    task: str,
    follow: bool,
    tail: int | None,
    since: float | None,
    node: int | None,
    stdout: bool,
    stderr: bool,
    timestamps: bool,
    no_redact: bool,
    as_json: bool,
) -> int:
    """Print what a task wrote: its stdout to stdout, its stderr to stderr, byte for byte.

    With several nodes, and with --timestamps, whole lines.
    """
    from flow_core.cli._logs import Wanted, print_log

    streams = tuple(name for name, chosen in (("stdout", stdout), ("stderr", stderr)) if chosen) or ("stdout", "stderr")
    ranks = None if node is None else (node,)
    return print_log(task, Wanted(follow, tail, since, ranks, streams, timestamps, not no_redact), as_json)
