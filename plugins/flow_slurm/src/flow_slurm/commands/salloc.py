"""``flow slurm salloc``: there are no allocations without a task."""

from __future__ import annotations

import click


@click.command("salloc", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...]) -> None:  # noqa: ARG001
    """Say how to work on a machine."""
    raise click.UsageError(
        "Flow holds no machine without a task: `flow run -d --name work 'sleep 8h'` takes one, "
        "`flow exec work bash` works on it, `flow cancel work` gives it back"
    )
