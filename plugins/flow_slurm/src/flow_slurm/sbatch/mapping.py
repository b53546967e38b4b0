"""What a request comes to in Flow's words: one task, or one for each index of an array."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import attrs

from flow_core import ConfigError, FrontendTask, Problem, Resources, SecretRef, TaskConfig
from flow_slurm import shims
from flow_slurm.sbatch import values
from flow_slurm.sbatch.job import document
from flow_slurm.sbatch.labels import INDEX, labels
from flow_slurm.sbatch.notes import impossible, notes, remarks
from flow_slurm.sbatch.passed import native
from flow_slurm.sbatch.request import Request
from flow_slurm.sbatch.script import Script
from flow_slurm.sbatch.shape import Shape, shape_of
from flow_slurm.sbatch.waiting import depends_on

NATIVE = "slurm"
_MIB = 1024**2
_SIZE_AS_TYPE = re.compile(r"(\d+)gb?", re.IGNORECASE)


def tasks(script: Script, request: Request, environ: Mapping[str, str]) -> list[FrontendTask]:
    """Return the tasks. Raises ConfigError with every problem that makes it impossible to say what they are."""
    _check(script, request)
    shape = shape_of(request)
    array = request.read("array", values.array, None)
    cannot = _waits(request, None if array is None else array.indices[0])[1]
    config = _config(script, request, shape, environ, bool(cannot))
    found = [_task(script, request, shape, config, array, index) for index in (array.indices if array else (None,))]
    said = attrs.evolve(found[0], notes=(*cannot, *notes(request)), remarks=tuple(remarks(request, shape)))
    return _throttled([said, *found[1:]], array.throttle if array else 0)


def _task(
    script: Script, request: Request, shape: Shape, config: TaskConfig, array: values.Array | None, index: int | None
) -> FrontendTask:
    place = {} if index is None else {INDEX: str(index)}
    config = attrs.evolve(config, depends_on=_waits(request, index)[0], labels={**config.labels, **place})
    said = document(script, request, shape.tasks, shape.cpus_per_task, array, index or 0)
    files = {**shims.files(), "sbatch/slurm_script": script.body, "sbatch/job.json": said}
    return FrontendTask(config, _positions(request), files=files, native=NATIVE)


def _throttled(found: list[FrontendTask], most: int) -> list[FrontendTask]:
    """Have each wait for the one that is ``most`` before it."""
    return [
        attrs.evolve(task, after=(place - most,) if most and place >= most else ()) for place, task in enumerate(found)
    ]


_READERS: Mapping[str, Callable[[str], object]] = {
    **dict.fromkeys(("time", "time-min"), values.minutes),
    **dict.fromkeys(("mem", "mem-per-cpu", "mem-per-gpu", "tmp"), values.mebibytes),
    **dict.fromkeys(
        ("ntasks", "cpus-per-task", "ntasks-per-node", "ntasks-per-gpu", "mincpus", "cpus-per-gpu"), values.count
    ),
    **dict.fromkeys(("gpus", "gpus-per-node", "gpus-per-task"), values.gpus),
    "nodes": values.nodes,
    "nodelist": values.hosts,
    "gres": values.gres,
    "array": values.array,
    "signal": values.signal,
}


def _check(script: Script, request: Request) -> None:
    """Raise ConfigError with every value that cannot be read, and all that no provider can keep."""
    problems = [*impossible(request), *script.problems(request)]
    for name, reader in _READERS.items():
        try:
            request.read(name, reader, None)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError("1 problem" if len(problems) == 1 else f"{len(problems)} problems", problems=problems)


def _waits(request: Request, index: int | None) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    """Return what a task waits for, and why that cannot be said."""
    try:
        return depends_on(request, index), ()
    except ConfigError as error:
        return (), tuple(error.problems)


def _config(
    script: Script, request: Request, shape: Shape, environ: Mapping[str, str], waits_natively: bool
) -> TaskConfig:
    limit = request.read("time", values.minutes, None)
    warning = request.read("signal", values.signal, None)
    env, secrets = script.exported(request, environ)
    name = job_name(script, request)
    own = native(request)
    if waits_natively:
        own["dependency"] = request.text("dependency")
    return TaskConfig(
        command=(*shims.LAUNCH, name, *script.arguments),
        name=values.flow_name(name),
        num_instances=shape.nodes,
        resources=_resources(request, shape),
        env=env,
        secrets=tuple(SecretRef(secret) for secret in secrets),
        working_dir=request.text("chdir") or None,
        time_limit=None if limit is None else limit * 60.0,
        preempt_signal=_signal_name(warning.number) if warning else "TERM",
        max_preemptions=0 if "no-requeue" in request else None,
        priority=_priority(request),
        labels=labels(script, request, name),
        options={NATIVE: own} if own else {},
    )


def job_name(script: Script, request: Request) -> str:
    """Return the name as Slurm has it: what was asked for, else the file's."""
    return request.text("job-name") or script.name


def _signal_name(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)


def _priority(request: Request) -> int:
    text = request.given["nice"].value if "nice" in request else "0"
    found = re.match(r"-?\d+", text or "100")
    return max(-100, min(100, -int(found[0] if found else 0)))


def _resources(request: Request, shape: Shape) -> Resources:
    memory = request.read("mem", values.mebibytes, 0)
    memory = memory or request.read("mem-per-cpu", values.mebibytes, 0) * (shape.cpus or shape.tasks_per_node)
    memory = memory or request.read("mem-per-gpu", values.mebibytes, 0) * shape.gpus
    disk = request.read("tmp", values.mebibytes, 0) * _MIB or None
    for name, rest in request.read("gres", values.gres, []):
        disk = values.mebibytes(rest) * _MIB if name == "tmp" and rest else disk
    size = _SIZE_AS_TYPE.fullmatch(shape.gpu_kind)
    return Resources(
        gpu=shape.gpu_kind.lower() or None if shape.gpus and not size else None,
        gpu_count=shape.gpus,
        gpu_memory=int(size[1]) * 1000**3 if size and shape.gpus else None,
        cpus=None if shape.cpus is None else float(shape.cpus),
        memory=memory * _MIB or None,
        disk=disk,
    )


_PLACES: Sequence[tuple[str, tuple[str, ...]]] = (
    ("name", ("job-name",)),
    ("time_limit", ("time",)),
    ("num_instances", ("nodes", "ntasks-per-node", "ntasks")),
    ("resources.cpus", ("cpus-per-task", "ntasks", "ntasks-per-node", "mincpus", "cpus-per-gpu")),
    ("resources.memory", ("mem", "mem-per-cpu", "mem-per-gpu")),
    ("resources.disk", ("tmp", "gres")),
    ("resources.gpu", ("gpus-per-task", "gpus-per-node", "gpus", "gres")),
    ("instance_type", ("gpus-per-task", "gpus-per-node", "gpus", "gres")),
    ("depends_on", ("dependency",)),
    ("working_dir", ("chdir",)),
    ("priority", ("nice",)),
    ("max_preemptions", ("no-requeue",)),
    ("preempt_signal", ("signal",)),
    ("labels.comment", ("comment",)),
)


def _positions(request: Request) -> dict[str, tuple[int, int]]:
    found = {}
    for path, names in _PLACES:
        words = [request.given[name].word for name in names if name in request]
        if words and words[0].line:
            found[path] = (words[0].line, words[0].column)
    return found
