"""What a script says to the submitting command alone."""

from __future__ import annotations

import json

from flow_core import FrontendTask
from flow_slurm.sbatch.options import CLIENT, by_long


def client_options(task: FrontendTask) -> set[str]:
    """Return the names of the options that were given for the submitting command."""
    given = json.loads(task.files["sbatch/job.json"])["given"]
    return {name for name in given if by_long()[name].fate == CLIENT}
