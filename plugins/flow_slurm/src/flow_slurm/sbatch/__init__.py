"""Batch scripts of Slurm as Flow tasks: read exactly as sbatch reads them, said in Flow's words."""

from flow_slurm.sbatch.frontend import SbatchFrontend, read
from flow_slurm.sbatch.script import Script

__all__ = ["SbatchFrontend", "Script", "read"]
