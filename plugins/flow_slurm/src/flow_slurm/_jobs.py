"""What Slurm says of this user's jobs: one line each, all in one question."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

import attrs

from flow_core import TransientError
from flow_slurm._shell import Shell

FINAL = frozenset(
    [
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    ]
)
"""States of a job that has ended; all others live (`squeue` manual, JOB STATE CODES)."""

_FIELDS = {"JobArrayID": 24, "State": 20, "exit_code": 12, "RestartCnt": 8, "StartTime": 16, "EndTime": 16}
_FIELDS |= {"SubmitTime": 16, "Reason": 60, "NodeList": 120, "Comment": 60}
_QUERY = 'exec squeue -h -r -t all -u "$(id -u)" -O "$1"'
_FORMAT = ",".join(f"{name}:{width}" for name, width in _FIELDS.items())
ACCOUNTED = "(accounting)"
"""The reason of a job that only accounting knows."""
_ID = re.compile(r"\d+(_\d+)?")


@attrs.frozen
class Job:
    """One job (of an array: one element). Times are UTC seconds; ``start`` of a pending one is Slurm's estimate.

    ``exit_status`` is the raw wait status, and the same in all versions of Slurm.
    """

    id: str
    state: str
    exit_status: int
    restarts: int
    start: float | None
    end: float | None
    submitted: float
    reason: str
    nodes: str
    comment: str

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.state in FINAL

    @property
    def exit_code(self) -> int:
        """As a shell has it: 128 + N for signal N."""
        number = self.exit_status & 0x7F
        return 128 + number if number else self.exit_status >> 8 & 0xFF

    @property
    def signal(self) -> int | None:
        """The signal that ended it."""
        return self.exit_status & 0x7F or None


def query(shell: Shell) -> str:
    """Ask for all jobs of ours that Slurm still knows, ended ones too. Raises TransientError."""
    done = shell.run(_QUERY, _FORMAT)
    if done.code:
        raise TransientError(f"squeue failed: {last_words(done.err)}", "see `flow doctor`")
    return done.out


_SACCT = 'exec sacct -n -P -X -j "$1" -o JobID,State,Start,End,Submit,NodeList,Comment'


def remembered(shell: Shell, ids: Iterable[str]) -> dict[str, Job]:
    """Return what accounting has of jobs that Slurm has forgotten; nothing where there is none, or it is silent.

    Its exit codes are not read: its text subtracts 128 from those above 127, and jobs that ended while the database was
    away have 0:0 (measured with 22.05 and 24.11).
    """
    done = shell.run(_SACCT, ",".join(ids))
    found = (_remembered(line.split("|", 6)) for line in done.out.splitlines()) if done.code == 0 else ()
    return {job.id: job for job in found if job is not None}


def _remembered(words: Sequence[str]) -> Job | None:
    if len(words) != 7 or not _ID.fullmatch(words[0]):
        return None
    return Job(
        id=words[0],
        state=words[1].partition(" ")[0],
        exit_status=0,
        restarts=0,
        start=_time(words[2]),
        end=_time(words[3]),
        submitted=_time(words[4]) or 0.0,
        reason=ACCOUNTED,
        nodes=words[5],
        comment=words[6],
    )


def parse(text: str) -> dict[str, Job]:
    """Read the answer of :func:`query`, or that of slurmrestd: jobs by id."""
    if text.startswith("["):
        return {one["id"]: Job(**one) for one in json.loads(text)}
    found = (_job(line) for line in text.splitlines())
    return {job.id: job for job in found if job is not None}


def _job(line: str) -> Job | None:
    words, at = {}, 0
    for name, width in _FIELDS.items():
        words[name], at = line[at : at + width].strip(), at + width
    if not _ID.fullmatch(words["JobArrayID"]):
        return None
    return Job(
        id=words["JobArrayID"],
        state=words["State"],
        exit_status=_number(words["exit_code"]),
        restarts=_number(words["RestartCnt"]),
        start=_time(words["StartTime"]),
        end=_time(words["EndTime"]),
        submitted=_time(words["SubmitTime"]) or 0.0,
        reason=words["Reason"],
        nodes=words["NodeList"],
        comment=words["Comment"],
    )


def _number(word: str) -> int:
    return int(word) if word.isdigit() else 0


def _time(word: str) -> float | None:
    return float(word) if word.isdigit() else None


def last_words(said: str) -> str:
    """Return what a program complained of, in one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return re.sub(r"^\w+: (error|fatal): ", "", lines[-1]) if lines else "it said nothing"
