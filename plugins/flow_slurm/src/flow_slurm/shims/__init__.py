"""The files that travel with a batch script to where there is no Slurm: its surroundings, and stand-in commands.

All modules but this one are for Python 3.8 and its standard library, and import nothing but each other.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files as resources

COMMANDS = ("srun", "scontrol", "sbatch", "scancel", "squeue", "sinfo", "sacct", "module")
"""The commands that are put on the task's PATH."""

_MODULES = (
    *("client", "launch", "number", "scontrol", "srun", "srun_options", "srun_output", "srun_process"),
    *("starts", "steps", "surroundings"),
)
_LIBRARY = "sbatch/lib"
RUN = f"{_LIBRARY}/run.py"
LAUNCH = ("/bin/sh", "-c", f'exec python3 -E -S "$FLOW_TASK_DIR/files/{RUN}" launch "$@"')
"""The command of every batch script; the job's name and the script's arguments stand behind it."""


@cache
def files() -> dict[str, bytes]:
    """Return path -> content."""
    folder = resources(__name__)
    found = {f"{_LIBRARY}/flow_sbatch/{name}.py": (folder / f"{name}.py").read_bytes() for name in _MODULES}
    found |= {f"{_LIBRARY}/flow_sbatch/__init__.py": b"", RUN: b"from flow_sbatch.starts import main\n\nmain()\n"}
    return {**found, **{f"sbatch/bin/{name}": _starter(name) for name in COMMANDS}}


def _starter(name: str) -> bytes:
    return f'#!/bin/sh\nexec "${{FLOW_SBATCH_PYTHON:-python3}}" -E -S "${{0%/*}}/../lib/run.py" {name} "$@"\n'.encode()
