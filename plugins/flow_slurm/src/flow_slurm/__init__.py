"""flow_slurm: runs Flow tasks on a Slurm cluster."""
