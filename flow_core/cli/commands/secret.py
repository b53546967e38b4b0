"""``flow secret``."""

from __future__ import annotations

import click

from flow_core import secrets
from flow_core.cli import _ask
from flow_core.cli._envelope import emit
from flow_core.cli._group import Group
from flow_core.cli._options import json_option
from flow_core.cli._table import show
from flow_core.cli._talk import say
from flow_core.client import Flow
from flow_core.errors import NotFoundError

HEADER = ("NAME", "STORE")
_CREDENTIALS = "flow/"


@click.group("secret", cls=Group)
def command() -> None:
    """Keep secrets that tasks may be given with --secret; values are never printed."""


@command.command("set")
@click.argument("name")
@click.option("--store", metavar="PLUGIN", help="The secret store to keep it in, not the keyring or a 0600 file.")
@json_option
def set_(name: str, store: str | None, as_json: bool) -> None:
    """Keep a secret; the value is asked for, or one line of stdin."""
    session = Flow().session
    stores = [session.secret_plugin(store)] if store else session.secret_stores
    store = secrets.set_(name, _ask.value(f"value of {name}", hidden=True), stores)
    say(f"{name} is kept in {store}")
    if as_json:
        emit({"name": name, "store": store})


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the names that are kept, and where. Variables of the environment are secrets too and are not listed."""
    kept = secrets.list_names(Flow().session.secret_stores)
    found = {name: store for name, store in sorted(kept.items()) if not name.startswith(_CREDENTIALS)}
    if as_json:
        emit([{"name": name, "store": store} for name, store in found.items()])
    else:
        show(HEADER, found.items(), empty="no secrets; flow secret set NAME keeps one")


@command.command("delete")
@click.argument("name")
@json_option
def delete(name: str, as_json: bool) -> None:
    """Forget a secret."""
    if not secrets.delete(name, Flow().session.secret_stores):
        raise NotFoundError(f"no secret {name!r} is kept", "flow secret list shows the names")
    say(f"forgot {name}")
    if as_json:
        emit({"name": name, "deleted": True})
