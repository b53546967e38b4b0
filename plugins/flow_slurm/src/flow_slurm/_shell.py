"""Where Slurm's commands are run: on this machine, in a session of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import attrs

from flow_core import CapabilityError, TransientError
from flow_slurm._path import own_commands
from flow_slurm._settings import PASSED

# Of Slurm's variables only where the cluster is and what people set as their defaults: those of a job that we are in
# would change the next one.
_DEFAULTS = ("ACCOUNT", "PARTITION", "QOS", "RESERVATION", "CONSTRAINT")
_KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER", *(f"SBATCH_{name}" for name in _DEFAULTS))


@attrs.frozen
class Done:
    """How a program ended and what it said."""

    code: int
    out: str
    err: str


class Shell(Protocol):
    """Runs shell texts on the login node; every wait has an end."""

    def run(self, script: str, *words: str, seconds: float = 25.0) -> Done:
        """Run ``script`` with ``words`` as ``$1`` …; raises TransientError after ``seconds``."""
        ...


def environment(names: Sequence[str]) -> dict[str, str]:
    """Return what of this process's environment jobs see: what all may see, and ``names``."""
    kept = {name: os.environ[name] for name in (*PASSED, *names) if name in os.environ}
    return {**kept, "PATH": own_commands(kept.get("PATH", "/usr/local/bin:/usr/bin:/bin"))}


class LocalShell:
    """This machine is the login node; ``names`` are the variables that jobs may inherit."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = (*names, *_KEPT)

    def run(self, script: str, *words: str, seconds: float = 25.0) -> Done:
        """See :meth:`Shell.run`. What we start goes on when we are killed, and keeps its own record."""
        return self.call(["/bin/sh", "-c", script, "flow", *words], seconds)

    def call(self, argv: Sequence[str], seconds: float, folder: str = "/", kept: Sequence[int] = ()) -> Done:
        """Run one program in ``folder``, which also has the descriptors ``kept``; as :meth:`run`."""
        try:
            process = self._started(argv, folder, kept)
        except FileNotFoundError as error:
            raise _absent(str(error)) from None
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            raise TransientError(f"Slurm has not answered within {seconds:.0f} s", "see `flow doctor`") from None
        except BaseException:
            process.stdout and process.stdout.close()
            process.stderr and process.stderr.close()
            raise
        if process.returncode == 127:
            raise _absent(err.strip())
        return Done(process.returncode, out, err)

    def _started(self, argv: Sequence[str], folder: str, kept: Sequence[int]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=folder,
            env={**environment(self._names), "SLURM_TIME_FORMAT": "%s"},
            start_new_session=True,
            pass_fds=kept,
        )


def _absent(said: str) -> CapabilityError:
    return CapabilityError(
        f"Slurm's commands are not on this machine: {said}", "run flow on a login node, or set `ssh:`"
    )


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
