"""How many nodes, tasks, CPUs and GPUs a request comes to."""

from __future__ import annotations

import attrs

from flow_core import ConfigError
from flow_slurm.sbatch import values
from flow_slurm.sbatch.request import Request, problem


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
