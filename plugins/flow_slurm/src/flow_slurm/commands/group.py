"""The group ``flow slurm``."""

from __future__ import annotations

from importlib import import_module

import click

_COMMANDS = {
    "sbatch": "Submit a batch script.",
    "squeue": "Show the tasks that wait and run.",
    "scancel": "End tasks.",
    "sinfo": "Show where tasks can run.",
    "sacct": "Show the tasks that have ended too.",
    "scontrol": "Show one task in full.",
    "srun": "Says how to run a command.",
    "salloc": "Says how to work on a machine.",
    "shim": "Write these commands under their own names into a folder.",
}


class Commands(click.Group):
    """Imports the one command that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return every name."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        if cmd_name not in _COMMANDS:
            return None
        found: click.Command = import_module(f"flow_slurm.commands.{cmd_name}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List them without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group("slurm", cls=Commands, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Slurm's commands, for the tasks of all providers.

    Tasks have numbers here, made from their ids; on a Slurm cluster they are the cluster's own.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
