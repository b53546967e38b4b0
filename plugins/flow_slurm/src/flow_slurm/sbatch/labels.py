"""What is kept of a batch script on the task's labels, for whoever looks at it later."""

from __future__ import annotations

import os
from collections.abc import Mapping

from flow_core import TaskConfig
from flow_slurm import shims
from flow_slurm.sbatch import values
from flow_slurm.sbatch.request import Request
from flow_slurm.sbatch.script import Script

NAME, INDEX, COMMENT, SCRIPT = "job-name", "array-index", "comment", "sbatch-script"
FILES: Mapping[str, str] = {"output": "sbatch-output", "error": "sbatch-error", "input": "sbatch-input"}
"""Options that name a file, and the labels that keep it."""


def labels(script: Script, request: Request, name: str) -> dict[str, str]:
    """Return the labels of a script's tasks; ``name`` is the job's."""
    found = {COMMENT: request.text("comment"), **{label: request.text(option) for option, label in FILES.items()}}
    found[NAME] = name if name != values.flow_name(name) else ""
    found[SCRIPT] = os.path.abspath(script.path) if script.path else ""
    return {label: text for label, text in found.items() if text}


def is_script(config: TaskConfig) -> bool:
    """Whether a task was a batch script."""
    return isinstance(config.command, tuple) and config.command[: len(shims.LAUNCH)] == shims.LAUNCH
