"""``flow schema``."""

from __future__ import annotations

import json
import sys

import click

from flow_core.cli._envelope import emit
from flow_core.cli._options import json_option

PARTS = ("task", "answers", "commands", "exit-codes")


@click.command("schema")
@click.argument("part", type=click.Choice(PARTS), required=False)
@json_option
@click.pass_context
def command(ctx: click.Context, part: str | None, as_json: bool) -> None:
    """Print, as JSON: the schema of task files, those of --json answers, the tree of commands, the exit codes.

    For an editor: flow schema task > flow-task.json
    """
    from flow_core.cli._schema import parts

    found = parts(ctx.find_root(), PARTS if part is None else (part,))
    shown = found[part] if part is not None else found
    if as_json:
        emit(shown, "schema")
    else:
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
