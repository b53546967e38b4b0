"""``flow logout``."""

from __future__ import annotations

import click

from flow_core.cli._complete import complete_profile
from flow_core.cli._envelope import emit
from flow_core.cli._options import json_option
from flow_core.cli._talk import say
from flow_core.client import Flow


@click.command("logout")
@click.argument("profile", required=False, shell_complete=complete_profile)
@json_option
def command(profile: str | None, as_json: bool) -> None:
    """Forget a profile's credentials."""
    forgotten = Flow().logout(profile)
    say(f"forgot {', '.join(forgotten)}" if forgotten else "there was nothing to forget")
    if as_json:
        emit({"forgotten": forgotten})
