"""``flow slurm sbatch``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs
import click

from flow_core import Flow, FrontendTask
from flow_slurm.commands.jobs import number_of
from flow_slurm.commands.options import VERSION
from flow_slurm.sbatch import Script, getopt, read
from flow_slurm.sbatch.lines import Word, wrong
from flow_slurm.sbatch.notes import HETEROGENEOUS

_ANY = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
_WRAPPED = "#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{}\n"


@click.command("sbatch", context_settings=_ANY, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, words: Sequence[str]) -> int:
    """Submit a batch script as sbatch does, to any provider: its options, SBATCH_* variables and directives.

    Says `Submitted batch job N`; --parsable says N, --wait waits and exits as the task does. The provider is the
    configured default, or FLOW_DEFAULT.

    \b
      flow slurm sbatch --parsable --array=0-9 job.sh input.txt
      flow slurm sbatch -N2 --wrap 'srun hostname'
    """
    given, rest = getopt.parse([Word(text, source="command line") for text in words], stop=True)
    asked = {one.option.name: one.value for one in given}
    if "help" in asked or "usage" in asked:
        click.echo(ctx.get_help())
        return 0
    if "version" in asked:
        click.echo(VERSION)
        return 0
    options = list(words[: len(words) - len(rest)])
    script, source = _script(asked.get("wrap"), [word.text for word in rest])
    found = read(script, os.environ, [option for option in options if option != "--"])
    return _submit(Flow(), [attrs.evolve(task, source=source, frontend="sbatch") for task in found], script)


def _script(wrap: str | None, rest: Sequence[str]) -> tuple[Script, str]:
    if wrap is not None:
        if rest:
            raise wrong("SYNTAX", f"a script cannot stand beside --wrap: {rest[0]}")
        return Script(_WRAPPED.format(wrap).encode(), "wrap"), "--wrap"
    if not rest:
        return Script(sys.stdin.buffer.read(), "sbatch"), "stdin"
    if rest[0] == ":":
        message, hint = HETEROGENEOUS
        raise wrong("REFUSED", message, hint=hint)
    path = Path(rest[0])
    try:
        return Script(path.read_bytes(), path.name, tuple(rest[1:]), rest[0]), rest[0]
    except OSError as error:
        raise wrong("NO_FILE", f"unable to open the script {rest[0]}: {error.strerror}") from error


def _submit(flow: Flow, tasks: Sequence[FrontendTask], script: Script) -> int:
    from flow_slurm.sbatch.client import client_options

    client = client_options(tasks[0])
    plans = [flow.plan(task) for task in tasks]
    for problem in () if "quiet" in client else (problem for plan in plans for problem in plan.warnings):
        click.echo(f"sbatch: warning: {problem}", err=True)
    if "test-only" in client:
        click.echo(f"sbatch: {script.name} would run on {plans[0].profile.name}: {len(plans)} tasks", err=True)
        return 0
    submitted = flow.submit_group(plans)
    number = number_of(submitted[0])
    if "parsable" in client:
        click.echo(str(number))
    elif "quiet" not in client:
        click.echo(f"Submitted batch job {number}")
    return max(task.wait() for task in submitted) if "wait" in client else 0
