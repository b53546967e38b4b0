"""``flow whoami``."""

from __future__ import annotations

import sys

import click

from flow_core.cli._complete import complete_profile
from flow_core.cli._envelope import emit
from flow_core.cli._options import json_option
from flow_core.cli._table import pairs
from flow_core.cli._words import stamp
from flow_core.client import Flow


@click.command("whoami")
@click.argument("profile", required=False, shell_complete=complete_profile)
@json_option
def command(profile: str | None, as_json: bool) -> None:
    """Say whom a profile's credentials stand for."""
    identity = Flow().whoami(profile)
    if as_json:
        emit(identity)
        return
    facts = [("user", identity.user), ("account", identity.account or ""), ("expires", stamp(identity.expires_at))]
    sys.stdout.write(pairs([*facts, *identity.detail.items()]))
