"""Options that several of the commands have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import click
from click.decorators import FC

VERSION = "slurm-flow 22.05.8"
"""What the commands say they are: as much of this version as they have, its JSON too."""


def words(_ctx: object, _option: object, value: str | None) -> tuple[str, ...]:
    """Split a list with commas."""
    return tuple(word for word in (value or "").split(",") if word)


def now() -> str:
    """Return the line above long listings."""
    return datetime.now().strftime("%a %b %d %H:%M:%S %Y\n")


def _tell(ctx: click.Context, _option: object, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(VERSION)
        ctx.exit()


version = click.option(
    "-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_tell, help="Say what this is."
)


def _unkept(ctx: click.Context, option: click.Parameter, value: str | None) -> None:
    if value:
        click.echo(f"{ctx.info_name}: {option.opts[-1]} means nothing here and leaves nothing out", err=True)


def unkept(*names: str) -> Callable[[FC], FC]:
    """An option for what tasks have not got: said, and nothing is left out for it."""
    return click.option(*names, expose_value=False, callback=_unkept, help="Said to mean nothing: a cluster's own.")


def habit(*names: str) -> Callable[[FC], FC]:
    """A flag that changes nothing here."""
    return click.option(*names, is_flag=True, expose_value=False, help="Accepted for what is typed by habit.")
