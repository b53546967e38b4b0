"""Flow's tasks as Slurm's users know jobs."""

from __future__ import annotations

import getpass
import math
import os
import re
import time
from collections.abc import Iterable, Iterator
from datetime import datetime

import attrs

from flow_core import Attempt, Flow, NotFoundError, Task
from flow_core.types import LIVE_STATES, parse_ref
from flow_slurm.sbatch.labels import COMMENT, FILES, INDEX, NAME, SCRIPT, is_script
from flow_slurm.sbatch.waiting import find
from flow_slurm.shims.number import number
from flow_slurm.shims.surroundings import NO_INDEX, filled

STATES = {
    "pending": ("PENDING", "PD"),
    "provisioning": ("CONFIGURING", "CF"),
    "running": ("RUNNING", "R"),
    "succeeded": ("COMPLETED", "CD"),
    "failed": ("FAILED", "F"),
    "cancelled": ("CANCELLED", "CA"),
    "timed_out": ("TIMEOUT", "TO"),
    "lost": ("NODE_FAIL", "NF"),
    "preempted": ("PREEMPTED", "PR"),
}
"""Flow's states in Slurm's words, and their short forms."""

_NATIVE = re.compile(r"(\d+)(_\d+)?(/.*)?")  # as the provider refers to it: the job, then the request


@attrs.frozen
class Job:
    """A task: ``number`` is Slurm's own where Slurm runs it; ``array`` and ``index`` are of an array's task.

    ``awaited`` is what it waits for: in squeue's words, and the array that this is of.
    """

    task: Task
    number: int
    array: int
    index: int | None
    attempts: tuple[Attempt, ...]
    awaited: tuple[tuple[str, int], ...] = ()

    @property
    def id(self) -> str:
        """As squeue writes it: ``12`` or ``12_3``."""
        return str(self.number) if self.index is None else f"{self.array}_{self.index}"

    @property
    def name(self) -> str:
        """The job's name, letter for letter."""
        return self.task.row.labels.get(NAME, self.task.row.name)

    @property
    def state(self) -> str:
        """The state in Slurm's word."""
        return STATES[self.task.row.state][0]

    @property
    def short_state(self) -> str:
        """The state in Slurm's letters."""
        return STATES[self.task.row.state][1]

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return self.task.row.state in LIVE_STATES

    @property
    def reason(self) -> str:
        """Why it waits or how it ended, in one of Slurm's words."""
        state = self.task.row.state
        if state == "pending":
            others = any(array != self.array for _, array in self.awaited)
            return "Dependency" if others else "JobArrayTaskLimit" if self.awaited else "Resources"
        return {"failed": "NonZeroExitCode", "timed_out": "TimeLimit", "lost": "NodeDown"}.get(state, "None")

    @property
    def dependency(self) -> str:
        """What it waits for, as squeue writes it; empty for nothing."""
        return ",".join(said for said, array in self.awaited if array != self.array)

    @property
    def command(self) -> str:
        """The script, or the command of what is none; empty for ``--wrap``."""
        said = self.task.config.command or ()
        if self.is_script:
            return self.task.row.labels.get(SCRIPT, "")
        return said if isinstance(said, str) else " ".join(said)

    @property
    def is_script(self) -> bool:
        """Whether it was a script for sbatch."""
        return is_script(self.task.config)

    @property
    def folder(self) -> str:
        """Where it runs."""
        return self.task.config.working_dir or self.task.config.code.root

    def path(self, option: str) -> str:
        """The file of ``--output``, ``--error`` or ``--input``, as far as it is known here; empty for what is no script."""
        given = self.task.row.labels.get(FILES[option], "")
        if not self.is_script:
            return ""
        if not given and option != "output":
            return self.path("output") if option == "error" else os.devnull
        text = given or ("slurm-%j.out" if self.index is None else "slurm-%A_%a.out")
        words = {"j": self.number, "J": self.number, "A": self.array, "x": self.name, "u": self.user, "%": "%"}
        return os.path.join(self.folder, filled(text, {**words, "a": NO_INDEX if self.index is None else self.index}))

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of its nodes, as far as they are known."""
        if self.task.row.started_at is None:
            return ()
        found = self.attempts[-1].nodes if self.attempts else ()
        return tuple(node.name or node.address or self.partition for node in found) or (self.partition,)

    @property
    def node_list(self) -> str:
        """The nodes, each once."""
        return ",".join(dict.fromkeys(self.nodes))

    @property
    def partition(self) -> str:
        """The profile that it runs on."""
        return self.task.row.profile

    @property
    def comment(self) -> str:
        """What the user has noted."""
        return self.task.row.labels.get(COMMENT, "")

    @property
    def user(self) -> str:
        """Who submitted it: whoever asks."""
        return getpass.getuser()

    @property
    def cpus(self) -> int:
        """The CPUs of all nodes."""
        claimed = self.task.config.resources.cpus
        return math.ceil(claimed or 1) * self.task.row.num_instances

    @property
    def limit(self) -> float | None:
        """The time limit in seconds."""
        return self.task.config.time_limit

    @property
    def elapsed(self) -> float:
        """Seconds that it has run."""
        row = self.task.row
        return 0.0 if row.started_at is None else (row.ended_at or time.time()) - row.started_at

    @property
    def exit_status(self) -> tuple[int, int]:
        """(exit code, signal), one of them 0."""
        row = self.task.row
        last = self.attempts[-1] if self.attempts else None
        if last is not None and last.signal and (row.exit_code or 0) > 128:
            return 0, last.signal
        return (row.exit_code or 0), (15 if row.state in ("cancelled", "timed_out") and row.exit_code is None else 0)


def read_all(flow: Flow, live: bool) -> list[Job]:
    """Return all jobs, oldest first; ``live``: only those that have not ended."""
    return jobs(flow, reversed(flow.tasks(limit=None, states=LIVE_STATES if live else None)))


def jobs(flow: Flow, tasks: Iterable[Task]) -> list[Job]:
    """Return tasks as jobs."""
    return [_job(flow, task) for task in tasks]


def _job(flow: Flow, task: Task) -> Job:
    labels = task.row.labels
    index = int(labels[INDEX]) if INDEX in labels else None
    own = number_of(task)
    awaited = tuple(_awaited(flow, task)) if task.row.state == "pending" else ()
    return Job(task, own, _array(task, own), index, tuple(flow.session.journal.attempts(task.id)), awaited)


def _array(task: Task, own: int) -> int:
    labels = task.row.labels
    return number(labels["group"]) if INDEX in labels and "group" in labels else own


def _awaited(flow: Flow, task: Task) -> Iterator[tuple[str, int]]:
    for word in task.config.depends_on:
        before, _, name = word.rpartition(":")
        other = flow.task(name)
        if other.row.state in LIVE_STATES:
            own, index = number_of(other), other.row.labels.get(INDEX)
            array = _array(other, own)
            shown = own if index is None else f"{array}_{index}"
            yield f"{'afterany' if before else 'afterok'}:{shown}(unfulfilled)", array


def number_of(task: Task) -> int:
    """Return the number of a task: Slurm's own where Slurm runs it."""
    row = task.row
    found = _NATIVE.fullmatch(parse_ref(row.ref)[2].id) if row.provider == "slurm" and row.ref else None
    return number(row.id) if found is None else int(found[1])


def named(flow: Flow, word: str) -> list[Job]:
    """Return the jobs that ``12``, ``12_3`` or ``12_[1-3]`` stands for. Raises NotFoundError."""
    text, _, part = word.partition("_")
    if not text.isdigit():
        return jobs(flow, [flow.task(word)])
    found = jobs(flow, _tasks(flow, int(text)))
    wanted = indices(part) if part and part != "*" else None
    chosen = [job for job in found if wanted is None or job.index in wanted]
    if not chosen:
        raise NotFoundError(f"there is no task of the number {word}", "flow slurm squeue shows the numbers")
    return chosen


INVALID = "slurm_load_jobs error: Invalid job id specified"


def those_named(flow: Flow, words: Iterable[str]) -> tuple[list[Job], list[str]]:
    """Return the jobs, and the words that stand for none."""
    found: list[Job] = []
    missing: list[str] = []
    for word in words:
        try:
            found += named(flow, word)
        except NotFoundError:
            missing.append(word)
    return found, missing


def _tasks(flow: Flow, wanted: int) -> list[Task]:
    try:
        return find(wanted)
    except NotFoundError:
        native = [task for task in flow.tasks(limit=None) if number_of(task) == wanted]
        if not native:
            raise
        return native[:1]


def indices(text: str) -> set[int]:
    """Return the numbers of ``[1-3,7]``."""
    found: set[int] = set()
    for item in text.strip("[]").partition("%")[0].split(","):
        first, _, last = item.partition("-")
        if first.isdigit():
            found.update(range(int(first), int(last or first) + 1))
    return found


def span(seconds: float | None, unlimited: str = "UNLIMITED") -> str:
    """Return ``D-HH:MM:SS``, or ``M:SS`` where it is short, as squeue writes it."""
    if seconds is None:
        return unlimited
    days, rest = divmod(int(seconds), 86400)
    hours, minutes = divmod(rest // 60, 60)
    if days:
        return f"{days}-{hours:02}:{minutes:02}:{rest % 60:02}"
    return f"{hours}:{minutes:02}:{rest % 60:02}" if hours else f"{minutes}:{rest % 60:02}"


def clock(seconds: float | None) -> str:
    """Return ``[D-]HH:MM:SS``, as sacct and scontrol write it."""
    if seconds is None:
        return "UNLIMITED"
    days, rest = divmod(int(seconds), 86400)
    return (f"{days}-" if days else "") + f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"


def stamp(at: float | None, otherwise: str) -> str:
    """Return a time as Slurm writes it."""
    return otherwise if at is None else datetime.fromtimestamp(at).strftime("%Y-%m-%dT%H:%M:%S")
