"""``flow slurm shim``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

NAMES = ("sbatch", "squeue", "scancel", "sinfo", "sacct", "scontrol", "srun", "salloc")


@click.command("shim")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def command(folder: Path) -> None:
    """Write Slurm's commands into FOLDER: put it on your PATH, and they are Flow's."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m flow_core slurm {name} "$@"\n')
        path.chmod(0o755)
    click.echo(f"{folder} holds {', '.join(NAMES)}; export PATH={shlex.quote(str(folder.absolute()))}:$PATH")
