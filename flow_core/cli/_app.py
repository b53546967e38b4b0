"""The command ``flow`` itself."""

from __future__ import annotations

import click

from flow_core.cli._group import LazyGroup


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from flow_core.plugins._metadata import core_version

        click.echo(f"flow {core_version()}")
        ctx.exit(0)


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="FLOW_DEBUG=1 shows tracebacks, NO_COLOR turns colours off. `flow doctor` finds what is wrong.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def app() -> None:
    """Run GPU tasks anywhere: on this machine, on a cluster, in a cloud."""
