"""``flow gc``."""

from __future__ import annotations

import click

from flow_core.cli._envelope import emit
from flow_core.cli._options import json_option
from flow_core.cli._table import show
from flow_core.cli._talk import say
from flow_core.client import Flow
from flow_core.types import format_size

HEADER = ("STORE", "TASKS", "OBJECTS", "FREED", "LEFT", "LIMIT")


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
def command(dry_run: bool, as_json: bool) -> None:
    """Remove results older than their store's `keep`, and bytes that no task names any more."""
    found = Flow().gc(dry_run)
    if as_json:
        emit(found)
        return
    lines = (
        (
            one.store,
            str(len(one.tasks)),
            str(one.objects),
            format_size(one.freed),
            format_size(one.left),
            "" if one.max_bytes is None else format_size(one.max_bytes),
        )
        for one in found
    )
    if dry_run:
        say("this is a dry run: nothing is removed")
    show(HEADER, lines, empty="no stores")
