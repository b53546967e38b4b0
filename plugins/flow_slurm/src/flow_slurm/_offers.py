"""What the cluster could give, as offers."""

from __future__ import annotations

from collections.abc import Iterator

from flow_core import Offer, OfferRequest
from flow_core.types import format_duration, parse_instance_type
from flow_slurm._machines import Machines, Node, Partition


def offers(machines: Machines, request: OfferRequest) -> list[Offer]:
    """Return one offer for each kind of node, those with free nodes first; a cluster has no prices."""
    shapes = {(_shape(node), node.partitions) for node in machines.nodes}
    found = [
        _offer([n for n in machines.nodes if (_shape(n), n.partitions) == shape], machines) for shape in sorted(shapes)
    ]
    return sorted((one for one in found if _fits(one, request)), key=lambda one: -(one.available or 0))


def _shape(node: Node) -> tuple[int, int, tuple[tuple[str, int], ...]]:
    return node.cpus, node.memory, tuple(sorted(node.gpus.items()))


def _offer(nodes: list[Node], machines: Machines) -> Offer:
    first = nodes[0]
    kind, count = max(first.gpus.items(), key=lambda item: item[1], default=("", 0))
    return Offer(
        instance_type=f"{count}x{kind or 'gpu'}" if count else f"{first.cpus}xcpu",
        gpu=(kind or "gpu") if count else "",
        gpu_count=count,
        cpus=float(first.cpus),
        memory=first.memory,
        available=sum(node.up and not node.cpus_used for node in nodes),
        total=len(nodes),
        note="; ".join(_notes(nodes, machines)),
    )


def _notes(nodes: list[Node], machines: Machines) -> Iterator[str]:
    yield f"partition {', '.join(_limited(one) for one in machines.partitions if one.name in nodes[0].partitions)}"
    total = sum(sum(node.gpus.values()) for node in nodes if node.up)
    if total:
        yield f"{total - sum(max(node.used.values(), default=0) for node in nodes if node.up)} of {total} GPUs free"
    if down := sum(not node.up for node in nodes):
        yield f"{down} down"


def _fits(offer: Offer, request: OfferRequest) -> bool:
    asked = parse_instance_type(request.instance_type) if request.instance_type else None
    kind, count = request.resources.gpu, request.resources.gpu_count
    if asked is not None and not asked.is_cpu:
        kind, count = (None if asked.kind == "gpu" else asked.kind), asked.count or 1
    return (kind is None or kind in offer.gpu.lower()) and offer.gpu_count >= count


def _limited(partition: Partition) -> str:
    """Return a partition's name with its limits: ``debug (30m, 2 nodes)``."""
    limits = [] if partition.max_time is None else [format_duration(partition.max_time)]
    limits += [] if partition.max_nodes is None else [f"{partition.max_nodes} node{'s' * (partition.max_nodes > 1)}"]
    return f"{partition.name} ({', '.join(limits)})" if limits else partition.name
