"""What would keep a task from running on this cluster, named before it is submitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from flow_core import Problem, TaskConfig
from flow_core.types import format_size
from flow_slurm import _gpus
from flow_slurm._directives import Needs, needs
from flow_slurm._gpus import Gres
from flow_slurm._machines import Machines, Node, Partition
from flow_slurm._settings import SlurmOptions, SlurmSettings


@attrs.frozen
class Fit:
    """How a task fits on the cluster: what its GPUs are called, and the longest time of its partitions in seconds."""

    gres: Gres | None
    longest: float | None
    problems: tuple[Problem, ...]


def fit(config: TaskConfig, options: SlurmOptions, settings: SlurmSettings, machines: Machines) -> Fit:
    """Look at everything that can be known before the submission."""
    wanted, partitions = needs(config), machines.chosen(options.partition)
    nodes = machines.nodes_of(partitions) if partitions else list(machines.nodes)
    problems = list(_partitions(options, partitions, machines))
    gres = _gpus.find(wanted, nodes, settings.gpu_types) if wanted.gpu_count and not problems else None
    if isinstance(gres, Problem):
        return Fit(None, None, (*problems, gres))
    if not problems:
        problems += _sizes(config, wanted, nodes, gres)
        problems += _times(config, options, partitions)
    return Fit(gres, _longest(partitions), tuple(problems))


def _partitions(options: SlurmOptions, found: Sequence[Partition], machines: Machines) -> Iterator[Problem]:
    there = ", ".join(partition.name for partition in machines.partitions)
    wanted = options.partition.split(",") if options.partition else []
    for name in wanted:
        if name not in {partition.name for partition in found}:
            yield Problem(
                "options.slurm.partition", "NO_PARTITION", f"there is no partition {name!r}", f"there: {there}"
            )
    for partition in found if wanted else ():
        if not partition.up:
            text = f"the partition {partition.name} takes no jobs now"
            yield Problem("options.slurm.partition", "PARTITION_DOWN", text, severity="warning")


def _sizes(config: TaskConfig, wanted: Needs, nodes: Sequence[Node], gres: Gres | None) -> Iterator[Problem]:
    able = [node for node in nodes if _has_gpus(node, wanted, gres)]
    if len(able) < config.num_instances and wanted.gpu_count:
        asked = f"{config.num_instances} x {wanted.gpu_count} x {wanted.gpu or 'gpu'}"
        path = "instance_type" if not able else "num_instances"
        yield Problem(path, "NO_SUCH_MACHINE", f"{asked} is more than there is: {_gpus.described(nodes)}")
        return
    if len(nodes) < config.num_instances:
        text = f"{config.num_instances} nodes are more than there are ({len(nodes)})"
        yield Problem("num_instances", "TOO_MANY_NODES", text)
        return
    cpus, memory = (max((getattr(n, what) for n in able), default=0) for what in ("cpus", "memory"))
    if (wanted.cpus or 0) > cpus:
        yield Problem("resources.cpus", "TOO_MANY_CPUS", f"{wanted.cpus} CPUs are more than a node has ({cpus})")
    if (wanted.memory or 0) > memory:
        text = f"{format_size(wanted.memory or 0)} is more than a node has ({format_size(memory)})"
        yield Problem("resources.memory", "TOO_MUCH_MEMORY", text)


def _has_gpus(node: Node, wanted: Needs, gres: Gres | None) -> bool:
    if gres is None:
        return True
    count = node.gpus.get(gres.kind, 0) if gres.kind else sum(node.gpus.values())
    return count >= wanted.gpu_count and (not gres.feature or gres.feature in node.features)


def _longest(partitions: Sequence[Partition]) -> float | None:
    limits = [partition.max_time for partition in partitions]
    return None if not limits or None in limits else max(limit for limit in limits if limit is not None)


def _times(config: TaskConfig, options: SlurmOptions, partitions: Sequence[Partition]) -> Iterator[Problem]:
    longest = _longest(partitions)
    for path, asked in (("time_limit", config.time_limit), ("options.slurm.time", options.time)):
        if longest is not None and asked is not None and asked > longest:
            names = ", ".join(partition.name for partition in partitions)
            text = f"{asked / 60:g} minutes are more than {names} allows ({longest / 60:g}): it would wait for ever"
            yield Problem(path, "TIME_LIMIT", text, "ask for less, or for another partition")
    most = [partition.max_nodes for partition in partitions]
    if most and None not in most and config.num_instances > max(count or 0 for count in most):
        text = f"{config.num_instances} nodes are more than the partition allows: it would wait for ever"
        yield Problem("num_instances", "TOO_MANY_NODES", text)
