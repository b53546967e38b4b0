"""``flow slurm``: the commands that Slurm's users know, over all providers."""

from flow_slurm.commands.group import command

__all__ = ["command"]
