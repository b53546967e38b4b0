"""What ``flow doctor`` says of a cluster."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from flow_core import FlowError
from flow_core.types import DoctorCheck
from flow_slurm._jobs import last_words
from flow_slurm._script import FIND_PYTHON
from flow_slurm._settings import SlurmSettings
from flow_slurm._shell import Done, Shell

_OLDEST = (20, 11)  # the first with `srun --overlap`
_PING = "scontrol ping"
_WRITE = 'umask 077; mkdir -p "$1" && cd "$1" && echo x >.doctor.$$ && rm -f .doctor.$$ && pwd -P'
# A job of a moment, if there is a free node; it needs the same folder and a Python there.
_LOOK = 'exec srun --quiet --immediate=5 --nodes=1 --ntasks=1 --time=1 --input=none /bin/sh -c "$1" sh "$2" "$3"'
_ON_NODE = FIND_PYTHON + '; [ -n "$q" ] || exit 94; [ -d "$2" ] || exit 95; "$q" -V'


def checks(shell: Shell, settings: SlurmSettings) -> Iterator[DoctorCheck]:
    """Yield the findings; the first thing that fails ends it."""
    try:
        yield from _checks(shell, settings)
    except FlowError as error:
        yield DoctorCheck("Slurm", "error", error.message, error.hint or "see whether the login node is up")


def _checks(shell: Shell, settings: SlurmSettings) -> Iterator[DoctorCheck]:
    found = re.search(r"(\d+)\.(\d+)", (said := shell.run("sbatch -V")).out)
    if found is None:
        mend = "set SLURM_CONF, or `prepare:` in the profile"
        yield DoctorCheck("Slurm", "error", f"sbatch does not work: {last_words(said.err)}", mend)
        return
    old = (int(found[1]), int(found[2])) < _OLDEST
    yield DoctorCheck("Slurm", "warning" if old else "ok", said.out.strip(), "Flow needs 20.11 or newer" if old else "")
    ping = shell.run(_PING)
    if "UP" not in ping.out:
        text = last_words(ping.out or ping.err)
        yield DoctorCheck(
            "controller", "error", f"slurmctld does not answer: {text}", "ask the cluster's administrator"
        )
        return
    yield DoctorCheck("controller", "ok", "slurmctld answers")
    place = shell.run(_WRITE, settings.root if settings.ssh else _expanded(settings.root))
    if place.code:
        text = f"{settings.root} cannot be written: {last_words(place.err)}"
        yield DoctorCheck("shared folder", "error", text, "set `root:` to a folder that all nodes share")
        return
    yield DoctorCheck("shared folder", "ok", place.out.strip())
    yield _nodes(shell.run(_LOOK, _ON_NODE, settings.python or "", place.out.strip()))


def rest_checks(about: Callable[[], str], root: Callable[[], str]) -> Iterator[DoctorCheck]:
    """Yield the findings on a cluster behind slurmrestd; the first thing that fails ends it."""
    for name, look in (("slurmrestd", about), ("shared folder", root)):
        try:
            yield DoctorCheck(name, "ok", look())
        except FlowError as error:
            yield DoctorCheck(name, "error", error.message, error.hint or "ask the cluster's administrator")
            return


def _expanded(root: str) -> str:
    import os

    return os.path.expanduser(root)


def _nodes(done: Done) -> DoctorCheck:
    if done.code == 0:
        return DoctorCheck("nodes", "ok", f"{done.out.strip()}, and the shared folder is there")
    if "94" in done.err:
        return DoctorCheck(
            "nodes", "error", "no Python 3.8 or newer on the nodes", "set `python:` to one that is there"
        )
    if "95" in done.err:
        mend = "set `root:` to a folder that all nodes share"
        return DoctorCheck("nodes", "error", "the nodes do not see the shared folder", mend)
    return DoctorCheck("nodes", "warning", f"no node was free to look at: {last_words(done.err)}", "try again later")
