"""How Slurm is asked: by its commands where these are, or by slurmrestd (:mod:`flow_slurm._rest`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flow_slurm import _jobs, _machines, _submit
from flow_slurm._once import once
from flow_slurm._shell import LocalShell, Shell

_END = 'exec scancel "$1"'
_END_PENDING = 'exec scancel --state=PENDING "$1"'
# With a state, scancel takes an element that waits for its whole array, and ends that (22.05).
_END_ELEMENT = '[ -z "$(squeue -h -r -t PENDING -o %i -j "$1")" ] || exec scancel "$1"'


class Slurm(Protocol):
    """What is asked of a controller. All methods raise FlowErrors; TransientError: it does not answer."""

    def jobs(self) -> str:
        """Return what :func:`flow_slurm._jobs.parse` reads."""
        ...

    def machines(self) -> str:
        """Return what :func:`flow_slurm._machines.parse` reads."""
        ...

    def submit(self, folder: str, argv: Sequence[str]) -> str | None:
        """See :func:`flow_slurm._submit.submit`."""
        ...

    def cancel(self, job: str, started: bool) -> None:
        """End a job, one that has started only if ``started``."""
        ...

    def verdict(self, argv: Sequence[str]) -> str:
        """Say what Slurm thinks of a job that is not submitted."""
        ...

    def about(self) -> str:
        """Say what answers, after it did."""
        ...


class Commands:
    """Slurm's own commands, on a login node that is elsewhere."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def jobs(self) -> str:
        """See :class:`Slurm`."""
        return _jobs.query(self._shell)

    def machines(self) -> str:
        """See :class:`Slurm`."""
        return _machines.query(self._shell)

    def submit(self, folder: str, argv: Sequence[str]) -> str | None:
        """See :class:`Slurm`."""
        return _submit.submit(self._shell, folder, argv)

    def cancel(self, job: str, started: bool) -> None:
        """See :class:`Slurm`."""
        self._shell.run(_END if started else _END_ELEMENT if "_" in job else _END_PENDING, job)

    def verdict(self, argv: Sequence[str]) -> str:
        """See :class:`Slurm`: without its script, and without conditions, which say nothing of the resources."""
        tested = [word for word in argv[2:-1] if not word.startswith(("--dependency", "--kill-on"))]
        return _jobs.last_words(self._shell.run('exec sbatch --test-only --wrap=: "$@"', *tested).err)

    def about(self) -> str:
        """See :class:`Slurm`."""
        return self._shell.run("exec sbatch -V").out.strip()


class LocalCommands(Commands):
    """Slurm's own commands on this machine: a submission is one process."""

    def __init__(self, shell: LocalShell) -> None:
        super().__init__(shell)
        self._here = shell

    def submit(self, folder: str, argv: Sequence[str]) -> str | None:
        """See :class:`Slurm`. sbatch holds the lock too: beside one whose client was killed nobody submits."""
        return once(folder, lambda lock: _submit.called(self._here.call(argv, _submit.SECONDS, folder, (lock,))))
