"""``flow local``: what concerns this machine alone."""

from __future__ import annotations

import click

from flow_local import _autostart


@click.group("local")
def command() -> None:
    """Set up this machine's own queue."""


@command.group("autostart")
def autostart() -> None:
    """Go on with queued tasks after a restart of this machine; without it they wait for the next flow command."""


_profile = click.option(
    "--provider", "profile", metavar="NAME", default="local", show_default=True, help="The profile whose queue it is."
)


@autostart.command("on")
@_profile
def on(profile: str) -> None:
    """Write a systemd user unit, or a crontab line where there is no systemd."""
    from flow_core import Flow

    Flow().provider(profile)  # a name that is wrong is told now, not to nobody after the restart
    start = _autostart.start(profile)
    ways = _autostart.ways()
    if any(way.where(start) for way in ways):
        click.echo(f"on already: {_place(start)}", err=True)
        return
    note = ways[0].on(start)
    click.echo(f"on: {_place(start)}", err=True)
    if note:
        click.echo(note, err=True)


@autostart.command("off")
@_profile
def off(profile: str) -> None:
    """Remove what `on` wrote."""
    start = _autostart.start(profile)
    found = [way for way in _autostart.ways() if way.where(start)]
    for way in found:
        way.off(start)
    click.echo("off" if found else "off already", err=True)


@autostart.command("status")
@_profile
def status(profile: str) -> None:
    """Say whether it is on, and where that is written."""
    place = _place(_autostart.start(profile))
    click.echo(f"on: {place}" if place else "off")


def _place(start: _autostart.Start) -> str:
    return ", ".join(found for way in _autostart.ways() if (found := way.where(start)))
