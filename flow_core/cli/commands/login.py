"""``flow login``."""

from __future__ import annotations

import click

from flow_core.cli import _ask
from flow_core.cli._complete import complete_profile
from flow_core.cli._envelope import emit
from flow_core.cli._options import json_option
from flow_core.cli._talk import say
from flow_core.client import Flow
from flow_core.errors import CapabilityError


@click.command("login")
@click.argument("profile", required=False, shell_complete=complete_profile)
@json_option
def command(profile: str | None, as_json: bool) -> None:
    """Keep a profile's credentials in the keyring, or in a file that only you may read.

    Asks on a terminal; elsewhere reads one line of stdin for each credential.
    """
    flow = Flow()
    values = {field.name: _ask.value(field.name, field.secret, field.help) for field in flow.login_fields(profile)}
    kept = flow.login(values, profile)
    for field, store in kept.items():
        say(f"{field} is kept in {store}")
    try:
        identity = flow.whoami(profile)
    except CapabilityError:
        identity = None
    if identity is not None:
        say(f"logged in as {identity.user}")
    if as_json:
        emit({"stores": kept, "identity": identity})
