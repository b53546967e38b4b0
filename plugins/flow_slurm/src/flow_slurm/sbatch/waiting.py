"""``--dependency`` in Flow's words: which tasks the numbers stand for."""

from __future__ import annotations

from collections.abc import Iterator

from flow_core import ConfigError, ConflictError, Flow, FlowError, NotFoundError, Task
from flow_core.types import LIVE_STATES
from flow_slurm.sbatch import values
from flow_slurm.sbatch.request import Request, problem
from flow_slurm.shims.number import number, prefix

_CANNOT = {
    "after": "waits for a start",
    "afternotok": "waits for a failure",
    "afterburstbuffer": "waits for a burst buffer",
    "expand": "joins another job",
}


def depends_on(request: Request, index: int | None) -> tuple[str, ...]:
    """Return what ``depends_on`` of the task with this array index is. Raises ConfigError at the option's line."""
    if "dependency" not in request:
        return ()
    conditions, any_of = request.read("dependency", values.dependencies, ([], False))
    if any_of and len(conditions) > 1:
        _refuse(request, "Flow waits for all of several tasks, not for one of them")
    return tuple(dict.fromkeys(word for one in conditions for word in _words(request, one, index)))


def _words(request: Request, condition: values.Dependency, index: int | None) -> Iterator[str]:
    if condition.kind in _CANNOT:
        _refuse(request, f"{condition.kind} {_CANNOT[condition.kind]}, which Flow's tasks cannot")
    if condition.kind == "singleton":
        yield from (f"any:{task.id}" for task in _namesakes(request))
    before = "any:" if condition.kind == "afterany" else ""
    for job in condition.jobs:
        if "+" in job:
            _refuse(request, "Flow's tasks wait for others, not for some time after them")
        chosen = index if condition.kind == "aftercorr" else None
        yield from (before + task.id for task in _named(request, job, chosen))


def _namesakes(request: Request) -> list[Task]:
    return Flow().tasks(limit=None, states=LIVE_STATES, name=values.flow_name(request.text("job-name")))


def _named(request: Request, job: str, index: int | None) -> list[Task]:
    word, _, place = job.partition("_")
    try:
        found = find(int(word))
    except FlowError as error:
        _refuse(request, error.message, "a job of a Slurm cluster can be waited for on that cluster only")
        raise
    wanted = int(place) if place.isdigit() else index
    return found if wanted is None or len(found) == 1 else [task for task in found if index_of(task) == wanted]


def find(wanted: int) -> list[Task]:
    """Return the tasks that a number stands for: one, or all of an array. Raises NotFoundError."""
    flow = Flow()
    try:
        first = flow.task(prefix(wanted))
    except ConflictError as error:
        raise NotFoundError(f"the number {wanted} stands for several tasks: {error.message}", "say the id") from error
    except FlowError as error:
        raise NotFoundError(
            f"there is no task of the number {wanted}", "flow slurm squeue shows the numbers"
        ) from error
    if number(first.id) != wanted:
        raise NotFoundError(f"there is no task of the number {wanted}", "flow slurm squeue shows the numbers")
    others = flow.tasks(limit=None, label=f"group={first.id}") if index_of(first) is not None else []
    return [first, *reversed(others)]


def index_of(task: Task) -> int | None:
    """Return a task's array index."""
    text = task.row.labels.get("array-index")
    return None if text is None else int(text)


def _refuse(request: Request, message: str, hint: str = "") -> None:
    raise ConfigError(message, hint, problems=[problem(request.given["dependency"], "DEPENDENCY", message, hint)])
