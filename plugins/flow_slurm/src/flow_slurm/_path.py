"""PATH as it leads to the cluster's own commands."""

from __future__ import annotations

import os

_OURS = (b"-m flow_core slurm sbatch", b"/../lib/run.py")
_ENOUGH = 8192  # bytes, for the longest path of an interpreter


def own_commands(path: str) -> str:
    """Return ``path`` without the folders in which ``sbatch`` is Flow's: what it asks must not come back to it."""
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if not _is_flows(folder))


def _is_flows(folder: str) -> bool:
    try:
        with open(os.path.join(folder, "sbatch"), "rb") as file:
            text = file.read(_ENOUGH)
    except OSError:
        return False
    return any(mark in text for mark in _OURS)
