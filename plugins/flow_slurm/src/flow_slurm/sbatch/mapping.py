"""What a request comes to in Flow's words: one task, or one for each index of an array."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from flow_core import ConfigError, FrontendTask, Problem, Resources, SecretRef, TaskConfig
from flow_slurm import shims
from flow_slurm.sbatch import values
from flow_slurm.sbatch.job import document
from flow_slurm.sbatch.options import MEANINGLESS, PASSED, REFUSED
from flow_slurm.sbatch.request import Request, problem
from flow_slurm.sbatch.script import Script
from flow_slurm.sbatch.waiting import depends_on
from flow_slurm.shims.scontrol import compress

NATIVE = "slurm"
_MIB = 1024**2
_START = ("/bin/sh", "-c", f'exec python3 -E -S "$FLOW_TASK_DIR/files/{shims.RUN}" launch "$@"')
_SIZE_AS_TYPE = re.compile(r"(\d+)gb?", re.IGNORECASE)
_NOT_IN_SCRIPTS = ("help", "usage", "version", "wrap", "test-only")


@attrs.frozen
class Shape:
    """How many nodes, tasks and CPUs: ``tasks`` in all, ``cpus`` and ``gpus`` of each node (None: no claim)."""

    nodes: int
    tasks: int
    cpus_per_task: int
    cpus: int | None
    gpus: int
    gpu_kind: str

    @property
    def tasks_per_node(self) -> int:
        """The most tasks of one node."""
        return -(-self.tasks // self.nodes)


def tasks(script: Script, request: Request, environ: Mapping[str, str]) -> list[FrontendTask]:
    """Return the tasks. Raises ConfigError with every problem that makes it impossible to say what they are."""
    _check(script, request)
    shape = shape_of(request)
    array = request.read("array", values.array, None)
    waits, cannot = _waits(request, None if array is None else array.indices[0])
    config = _config(script, request, shape, environ, bool(cannot))
    notes = (*cannot, *_notes(request))
    remarks = tuple(_remarks(request, shape))
    if array is None:
        files = _files(script, request, shape)
        return [_task(attrs.evolve(config, depends_on=waits), request, notes, remarks, files)]
    found = []
    for place, index in enumerate(array.indices):
        labels = {**config.labels, "array-index": str(index)}
        one = attrs.evolve(config, depends_on=_waits(request, index)[0], labels=labels)
        after = (place - array.throttle,) if array.throttle and place >= array.throttle else ()
        task = _task(
            one, request, *((notes, remarks) if not place else ((), ())), _files(script, request, shape, array, index)
        )
        found.append(attrs.evolve(task, after=after))
    return found


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
    problems = [*_impossible(request), *script.problems(request)]
    for name, reader in _READERS.items():
        try:
            request.read(name, reader, None)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError("1 problem" if len(problems) == 1 else f"{len(problems)} problems", problems=problems)


def _impossible(request: Request) -> Iterator[Problem]:
    """Yield what is refused on every provider."""
    if request.split:
        message = "a heterogeneous job: all nodes of a task are alike"
        yield Problem("", "REFUSED", message, "submit its components by themselves", line=request.split, column=1)
    for given in request.given.values():
        if given.option.on_slurm == REFUSED:
            yield problem(given, "REFUSED", f"cannot be kept: {given.option.note}")
        elif given.option.name in _NOT_IN_SCRIPTS and given.word.line:
            yield problem(given, "REFUSED", "stands on the command line only")


def _waits(request: Request, index: int | None) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    """Return what a task waits for, and why that cannot be said."""
    try:
        return depends_on(request, index), ()
    except ConfigError as error:
        return (), tuple(error.problems)


def _task(
    config: TaskConfig,
    request: Request,
    notes: tuple[Problem, ...],
    remarks: tuple[Problem, ...],
    files: Mapping[str, bytes],
) -> FrontendTask:
    return FrontendTask(config, _positions(request), notes, files, native=NATIVE, remarks=remarks)


def shape_of(request: Request) -> Shape:
    """Return the nodes, tasks and CPUs that are asked for. Raises ConfigError."""
    least = request.read("nodes", values.nodes, (0, None))[0]
    per_node = request.read("ntasks-per-node", values.count, 0)
    tasks = request.read("ntasks", values.count, 0)
    nodes = max(1, _named(request), least or (-(-tasks // per_node) if per_node else 0))
    gpus, kind = _gpus_of_node(request, nodes)
    per_gpu = request.read("ntasks-per-gpu", values.count, 0)
    if per_gpu and not tasks:
        tasks = per_gpu * gpus * nodes
    tasks = tasks or nodes * (per_node or 1)
    nodes = min(nodes, tasks) if "ntasks" in request else nodes
    of_node = -(-tasks // nodes)
    if "gpus-per-task" in request:
        wanted = request.read("gpus-per-task", values.gpus, values.Gpus("", 0))
        gpus, kind = wanted.count * of_node, wanted.kind
    each = request.read("cpus-per-task", values.count, 1)
    return Shape(nodes, tasks, each, _cpus(request, each, of_node, gpus), gpus, kind)


def _named(request: Request) -> int:
    """Return how many nodes are asked for by name."""
    hosts, (least, most) = request.read("nodelist", values.hosts, []), request.read("nodes", values.nodes, (0, None))
    if "nodes" in request and len(hosts) > (most or least):
        wrong = problem(request.given["nodelist"], "CONFLICT", f"names {len(hosts)} nodes, and --nodes allows fewer")
        raise ConfigError(wrong.message, problems=[wrong])
    return len(hosts)


def _cpus(request: Request, each: int, of_node: int, gpus: int) -> int | None:
    wanted = [request.read("mincpus", values.count, 0), request.read("cpus-per-gpu", values.count, 0) * gpus]
    if "cpus-per-task" in request or of_node > 1:
        wanted.append(each if "overcommit" in request else each * of_node)
    return max(wanted) or None


def _gpus_of_node(request: Request, nodes: int) -> tuple[int, str]:
    """Return (count, kind) of a node's GPUs."""
    found: list[values.Gpus] = []
    for name, rest in request.read("gres", values.gres, []):
        if name == "gpu":
            found.append(_read_gpus(request, "gres", rest or "1"))
    if "gpus-per-node" in request:
        found = [_read_gpus(request, "gpus-per-node", request.text("gpus-per-node"))]
    if "gpus" in request:
        whole = _read_gpus(request, "gpus", request.text("gpus"))
        if whole.count % nodes:
            _refuse(request, "gpus", f"{whole.count} GPUs cannot be shared evenly by {nodes} nodes")
        found = found or [values.Gpus(whole.kind, whole.count // nodes)]
    kinds = {one.kind for one in found}
    if len(kinds) > 1:
        _refuse(request, "gres", "a task has GPUs of one kind only")
    return sum(one.count for one in found), next(iter(kinds), "")


def _read_gpus(request: Request, name: str, text: str) -> values.Gpus:
    try:
        return values.gpus(text)
    except ValueError as error:
        _refuse(request, name, f"{text!r}: {error}")
        raise


def _refuse(request: Request, name: str, message: str, hint: str = "") -> None:
    found = problem(request.given[name], "REFUSED", message, hint)
    raise ConfigError(message, hint, problems=[found])


def _config(
    script: Script, request: Request, shape: Shape, environ: Mapping[str, str], waits_natively: bool
) -> TaskConfig:
    limit = request.read("time", values.minutes, None)
    warning = request.read("signal", values.signal, None)
    env, secrets = script.exported(request, environ)
    name = job_name(script, request)
    labels = {"job-name": name} if name != values.flow_name(name) else {}
    comment = request.text("comment")
    own = native(request)
    if waits_natively:
        own["dependency"] = request.text("dependency")
    return TaskConfig(
        command=(*_START, name, *script.arguments),
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
        labels={**labels, **({"comment": comment} if comment else {})},
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


_FIELDS = ("partition", "account", "qos", "constraint", "reservation", "licenses", "nodelist", "exclude")
_WORD = re.compile(r"[^\s-]\S*")


def native(request: Request) -> dict[str, object]:
    """Return the options for Slurm itself, as they were given: those that neither the config nor the node's files keep.

    What the config says less well is among them too; of an option that is said twice sbatch takes the last.
    """
    fields: dict[str, object] = {}
    extra = []
    for given in request.given.values():
        option, value = given.option, given.value
        if option.on_slurm != PASSED and not _is_more(request, option.name):
            continue
        value = nodelist(request) if option.name == "nodelist" else value
        if option.name in _FIELDS and value and _WORD.fullmatch(value):
            fields[option.name] = value
        elif option.name == "exclusive" and not value:
            fields["exclusive"] = True
        else:
            extra.append(option.dashed if value is None else f"{option.dashed}={value}")
    return {**fields, "extra": extra} if extra else fields


def nodelist(request: Request) -> str:
    """Return the nodes that are asked for by name: of more than there are tasks sbatch takes the first."""
    hosts = request.read("nodelist", values.hosts, [])
    return compress(hosts[: request.read("ntasks", values.count, len(hosts))]) or request.text("nodelist")


def _is_more(request: Request, name: str) -> bool:
    """Whether this value says what the config has no word for."""
    if name == "gres":
        return any(kind not in ("gpu", "tmp") for kind, _ in request.read("gres", values.gres, []))
    return name == "mem" and request.read("mem", values.mebibytes, None) == 0


def _remarks(request: Request, shape: Shape) -> Iterator[Problem]:
    """Yield what is said on every provider."""
    for given in request.given.values():
        if given.option.on_slurm == MEANINGLESS:
            yield problem(given, "MEANINGLESS", f"means nothing here: {given.option.note}", severity="warning")
    least, most = request.read("nodes", values.nodes, (0, None))
    if most and most != least:
        yield problem(request.given["nodes"], "LEAST", f"it gets the least of them, {shape.nodes}", severity="warning")


def _notes(request: Request) -> Iterator[Problem]:
    """Yield what is said of options that mean nothing elsewhere, and of those that cannot be left out."""
    for given in request.given.values():
        option = given.option
        if option.fate == REFUSED:
            yield problem(given, "REFUSED", f"cannot be kept here: {option.note}")
        elif option.fate == MEANINGLESS and option.on_slurm == PASSED:
            yield problem(given, "MEANINGLESS", f"means nothing here: {option.note}", severity="warning")
    yield from _gres_notes(request)
    if request.text("kill-on-invalid-dep").lower() == "no":
        message = "a task whose dependency failed ends here all the same"
        yield problem(request.given["kill-on-invalid-dep"], "ENDS", message, severity="warning")


def _gres_notes(request: Request) -> Iterator[Problem]:
    for name, _ in request.read("gres", values.gres, []):
        if name not in ("gpu", "tmp"):
            yield problem(request.given["gres"], "REFUSED", f"there is no resource {name!r} but on one cluster")


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


def _files(
    script: Script, request: Request, shape: Shape, array: values.Array | None = None, index: int = 0
) -> dict[str, bytes]:
    said = document(script, request, shape.tasks, shape.cpus_per_task, array, index)
    return {**shims.files(), "sbatch/slurm_script": script.body, "sbatch/job.json": said}
