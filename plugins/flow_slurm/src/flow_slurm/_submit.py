"""Submitting a job so that it is there once, whoever is killed on the way."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flow_core import ConfigError, FlowError, QuotaError, StateError, TransientError, UnavailableError
from flow_slurm._jobs import last_words
from flow_slurm._shell import Done, Shell

UNDECIDED, BUSY = 91, 92
SETTLED = 30  # seconds after which an sbatch of unknown outcome has made its job, or will make none
# sbatch holds the lock too: as long as one of a killed client is on its way, nobody submits beside it.
_SCRIPT = f"""\
cd "$1" || exit 66
shift
exec 9>>.submit || exit 73
if command -v flock >/dev/null 2>&1; then flock -w 20 9 || exit {BUSY}; fi
if [ -s job ]; then exec cat job; fi
if [ -e called ]; then exit {UNDECIDED}; fi
: >called || exit 73
id=$("$@") || exit
echo "$id" >.job.$$ && mv -f .job.$$ job || exit 73
echo "$id"
"""
# Of a call that is over and long past: what sbatch had sent when it gave up may still have been read after it.
_FORGET = f"""\
cd "$1" || exit 66
exec 9>>.submit || exit 73
if command -v flock >/dev/null 2>&1; then flock -w 20 9 || exit {BUSY}; fi
[ -e called ] || exit 0
[ $(($(date +%s) - $(stat -c %Y called))) -ge {SETTLED} ] && rm called
"""
_ADOPT = 'cd "$1" && echo "$2" >.job.$$ && mv -f .job.$$ job'
SECONDS = 50.0
"""What sbatch is given to answer."""
_ID = re.compile(r"\d+(_\d+)?")
# What says for sure that no job was made (sbatch 22.05 and 24.11); all else may be an answer that was lost.
_REFUSED = re.compile(
    r"Batch job submission failed: (?!Unable to contact|Socket timed out|Zero Bytes|Transport endpoint|Slurm temporarily"
    r"|Unexpected message|Communication|Connection|Insane message|Protocol authentication)"
    r"|unrecognized option|Invalid (--|directive|number|.* specification)|invalid option|requires an argument|not allowed"
    r"|This does not look like a batch script|more processors requested|fatal: "
)
LIMITS = re.compile(r"QOS|limit|quota|Job violates", re.IGNORECASE)


def submit(shell: Shell, folder: str, argv: Sequence[str]) -> str | None:
    """Submit from a task's ``folder`` with sbatch's ``argv``; return the job's id.

    None: it was called before and nobody saw the answer; look for the job, then :func:`adopt` or :func:`forget`.
    Raises what Slurm refused it with, TransientError when the outcome is not known.
    """
    done = shell.run(_SCRIPT, folder, *argv, seconds=SECONDS)
    if done.code == UNDECIDED:
        return None
    if done.code == BUSY:
        raise TransientError("another command is still submitting this task", "see `flow status`")
    if done.code == 73:
        raise StateError(f"cannot write in {folder}: {last_words(done.err)}", "free some space or choose another root")
    return called(done)


def called(done: Done) -> str:
    """Return the id of the job that sbatch made; raises what Slurm refused it with."""
    job = done.out.strip().partition(";")[0]
    if done.code == 0 and _ID.fullmatch(job):
        return job
    raise _trouble(done)


def _trouble(done: Done) -> FlowError:
    said = last_words(done.err).removeprefix("Batch job submission failed: ")
    if not _REFUSED.search(done.err):
        return TransientError(f"it is not known whether Slurm took the job: {said}", "see `flow doctor`")
    if "fatal: Could not establish" in done.err:
        return UnavailableError(f"there is no Slurm cluster here: {said}", "set SLURM_CONF, or run on a login node")
    if LIMITS.search(said):
        return QuotaError(f"Slurm refused the job: {said}", "ask for less, or wait until other jobs have ended")
    return ConfigError(f"Slurm refused the job: {said}", "see what there is: flow offers")


def forget(shell: Shell, folder: str) -> bool:
    """It was called and there is no job: the next call may submit, unless that was too short a time ago to be sure."""
    return shell.run(_FORGET, folder).code == 0


def adopt(shell: Shell, folder: str, job: str) -> None:
    """It was called and this is the job."""
    shell.run(_ADOPT, folder, job)
