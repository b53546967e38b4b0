"""``flow machines``."""

from __future__ import annotations

import time

import click

from flow_core.cli._envelope import emit
from flow_core.cli._group import Group
from flow_core.cli._options import json_option, provider_option
from flow_core.cli._table import show
from flow_core.cli._talk import say
from flow_core.cli._words import ago, money
from flow_core.client import Flow
from flow_core.errors import UnavailableError
from flow_core.types import Resource

HEADER = ("PROFILE", "KIND", "ID", "NAME", "USD/H", "SINCE", "TASK")


@click.group("machines", cls=Group)
def command() -> None:
    """List and give back what providers hold for no running task: kept machines, minted keys."""


@command.command("list")
@provider_option
@json_option
def list_(provider: str | None, as_json: bool) -> int:
    """List what is held, of every profile; a price is the most that it may cost."""
    found = Flow().machines(provider)
    if as_json:
        emit(found)
    else:
        show(HEADER, [_line(one.profile, thing) for one in found for thing in one.resources], empty="nothing is held")
    unknown = [one for one in found if one.error]
    for one in unknown:
        say(f"{one.profile} could not be asked: {one.error}")
    return UnavailableError.exit_code if unknown else 0


@command.command("release")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@provider_option
@json_option
def release(ids: tuple[str, ...], provider: str | None, as_json: bool) -> None:
    """Give back what is held; what a task is using or taking is refused. An ID may be that of an ended task."""
    flow, done = Flow(), []
    for name in dict.fromkeys(ids):
        released = flow.release_machine(name, provider)
        say(f"released {name}" if released else f"{name} was gone already")
        done.append({"id": name, "released": released})
    if as_json:
        emit(done)


def _line(profile: str, thing: Resource) -> tuple[str, ...]:
    return (
        profile,
        thing.kind,
        thing.id,
        thing.name,
        money(thing.price_per_hour),
        ago(thing.created_at, time.time()),
        thing.task_id or "",
    )
