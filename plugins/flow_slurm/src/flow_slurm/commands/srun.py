"""``flow slurm srun``: outside of a task there is none."""

from __future__ import annotations

import click


@click.command("srun", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...]) -> None:  # noqa: ARG001
    """Say how a command is run: inside a batch script srun is there, outside `flow run` is meant."""
    raise click.UsageError(
        "outside of a batch script there is no srun: `flow run COMMAND` runs one and waits, as does "
        "`sbatch --wait --wrap 'srun COMMAND'`"
    )
