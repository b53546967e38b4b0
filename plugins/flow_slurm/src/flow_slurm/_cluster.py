"""What a profile leads to: Slurm's commands or slurmrestd, the tasks' folders, what is known of the machines."""

from __future__ import annotations

import os
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from flow_core import ConfigError, nodes
from flow_core.settings import paths
from flow_slurm import _containers, _jobs, _machines
from flow_slurm._containers import Engine
from flow_slurm._folders import Folders, LocalFolders
from flow_slurm._jobs import Job
from flow_slurm._machines import Machines
from flow_slurm._poll import Poll
from flow_slurm._remote import SshFolders, SshShell, access
from flow_slurm._settings import SlurmSettings
from flow_slurm._shell import LocalShell, Shell, environment
from flow_slurm._slurm import Commands, LocalCommands, Slurm
from flow_slurm._volumes import Volumes

_MACHINES_EVERY = 60.0  # seconds


class Cluster:
    """One cluster, by one way; nothing is opened before it is used."""

    def __init__(self, settings: SlurmSettings) -> None:
        self.settings = settings

    @cached_property
    def shell(self) -> Shell:
        """Where Slurm's commands are run."""
        if self.settings.ssh is None:
            return LocalShell(self.settings.pass_env)
        return SshShell(self.host, self.settings.prepare)

    @cached_property
    def slurm(self) -> Slurm:
        """Who answers for the controller."""
        settings = self.settings
        if settings.rest is None:
            return LocalCommands(self.shell) if isinstance(self.shell, LocalShell) else Commands(self.shell)
        from flow_slurm._rest import Rest

        return Rest(settings.rest, settings.token, environment(settings.pass_env))

    @cached_property
    def folders(self) -> Folders:
        """The tasks' folders. Raises ConfigError where this machine does not share them."""
        if self.settings.rest is not None and not os.path.isdir(os.path.expanduser(self.settings.root)):
            text = (
                f"{self.settings.root} is not here: with slurmrestd this machine must have the cluster's shared folder"
            )
            raise ConfigError(text, "mount it, and set `root:` to a folder there; or use `ssh:`")
        if self.settings.ssh is None:
            return LocalFolders(self.settings.root)
        return SshFolders(self.host, self.settings)

    @cached_property
    def host(self) -> nodes.SshHost:
        """The login node that is elsewhere."""
        return nodes.open_host(access(self.settings))

    @cached_property
    def jobs(self) -> Poll[dict[str, Job]]:
        """This user's jobs, not older than a second."""
        return Poll(self._cache / "jobs", self.slurm.jobs, _jobs.parse)

    @property
    def engine(self) -> Engine | None:
        """What runs container images; None: nothing."""
        found = Poll(self._cache / "containers", lambda: _containers.query(self.shell), str, _MACHINES_EVERY)
        return _containers.choose(found.answer()[1], self.settings.containers)

    @cached_property
    def machines(self) -> Poll[Machines]:
        """Nodes and partitions, not older than a minute."""
        return Poll(self._cache / "machines", self.slurm.machines, _machines.parse, _MACHINES_EVERY)

    @cached_property
    def volumes(self) -> Volumes:
        """The volumes of the root."""
        return Volumes(self.shell, self.folders.root)

    @cached_property
    def _cache(self) -> Path:
        """What this user's processes on this machine know together of this cluster."""
        conf = os.environ.get("SLURM_CONF", "") if self.settings.ssh is None else ""
        cluster = repr(
            (os.getuid(), self.settings.rest, self.settings.ssh, self.settings.jump, self.settings.prepare, conf)
        )
        return paths().state_dir / "slurm" / sha256(cluster.encode()).hexdigest()[:12]
