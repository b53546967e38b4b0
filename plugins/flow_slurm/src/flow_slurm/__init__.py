"""flow_slurm: runs Flow tasks on a Slurm cluster, and reads sbatch scripts."""

from flow_slurm._provider import SlurmProvider
from flow_slurm._settings import SlurmOptions, SlurmSettings

__all__ = ["SlurmOptions", "SlurmProvider", "SlurmSettings"]
