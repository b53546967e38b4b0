"""``flow volume``."""

from __future__ import annotations

import sys

import click

from flow_core.cli._ask import confirm
from flow_core.cli._envelope import emit
from flow_core.cli._group import Group
from flow_core.cli._options import json_option, provider_option, size as read_size
from flow_core.cli._table import pairs, show
from flow_core.cli._talk import say
from flow_core.cli._words import stamp
from flow_core.client import Flow
from flow_core.types import Volume

HEADER = ("NAME", "ID", "SIZE", "STATE", "KIND", "REGION", "CREATED", "USED BY")
_GB = 10**9


@click.group("volume", cls=Group)
def command() -> None:
    """Create, list, copy and delete volumes: storage that outlives tasks."""


@command.command("create")
@click.argument("name")
@click.option("--size", type=read_size, metavar="SIZE", help="How large, as 100GB.")
@click.option("--encrypted", is_flag=True, help="Encrypt it.")
@click.option("--kind", metavar="KIND", help="One of the provider's kinds, as block or file.")
@provider_option
@json_option
def create(name: str, size: int | None, encrypted: bool, kind: str | None, provider: str | None, as_json: bool) -> None:
    """Create a volume."""
    volume = Flow().create_volume(name, None if size is None else -(-size // _GB), provider, encrypted, kind)
    _made(volume, as_json)


@command.command("attach")
@click.argument("name")
@click.argument("task")
@json_option
def attach(name: str, task: str, as_json: bool) -> None:
    """Attach a volume to the machines of TASK, which must not be running: paused, say."""
    _made(Flow().attach_volume(name, task), as_json)


@command.command("snapshot")
@click.argument("name")
@click.argument("new_name")
@provider_option
@json_option
def snapshot(name: str, new_name: str, provider: str | None, as_json: bool) -> None:
    """Make a new volume of what is in one now."""
    _made(Flow().snapshot_volume(name, new_name, provider), as_json)


def _made(volume: Volume, as_json: bool) -> None:
    if volume.note:
        say(f"{volume.name}: {volume.note}")
    if as_json:
        emit(volume)
    else:
        sys.stdout.write(f"{volume.id}\n")


@command.command("list")
@provider_option
@json_option
def list_(provider: str | None, as_json: bool) -> None:
    """List the volumes."""
    found = Flow().volumes(provider)
    if as_json:
        emit(found)
    else:
        show(HEADER, map(_line, found), empty="no volumes; flow volume create NAME makes one")


@command.command("show")
@click.argument("name")
@provider_option
@json_option
def show_(name: str, provider: str | None, as_json: bool) -> None:
    """Show one volume."""
    volume = Flow().volume(name, provider)
    if as_json:
        emit(volume)
    else:
        cells = [*zip(HEADER, _line(volume), strict=True), ("ENCRYPTED", "yes" if volume.encrypted else "no")]
        cells += [("NOTE", volume.note)] if volume.note else []
        sys.stdout.write(pairs((title.lower(), cell) for title, cell in cells))


@command.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@provider_option
@json_option
def delete(name: str, yes: bool, provider: str | None, as_json: bool) -> None:
    """Delete a volume and everything in it; nothing brings it back."""
    flow = Flow()
    volume = flow.volume(name, provider)
    confirm(f'delete the volume {volume.id} "{volume.name}" and everything in it', yes)
    deleted = flow.delete_volume(volume.id, provider)
    say(f"deleted {volume.id}" if deleted else f"{volume.id} was gone already")
    if as_json:
        emit({"id": volume.id, "name": volume.name, "deleted": deleted})


def _line(volume: Volume) -> tuple[str, ...]:
    return (
        volume.name,
        volume.id,
        "" if volume.size_gb is None else f"{volume.size_gb} GB",
        volume.state,
        volume.kind,
        volume.region or "",
        stamp(volume.created_at),
        ", ".join(volume.attached_to),
    )
