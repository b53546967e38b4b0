"""``flow doctor``."""

from __future__ import annotations

import click

from flow_core.cli._catalog import COMMANDS
from flow_core.cli._findings import tell
from flow_core.cli._options import json_option
from flow_core.client import Flow
from flow_core.doctor import examine


@click.command("doctor")
@json_option
def command(as_json: bool) -> int:
    """Find out what is wrong here, and the mend. Exits with 1 when something is."""
    return tell(examine(Flow(), tuple(COMMANDS)), as_json)
