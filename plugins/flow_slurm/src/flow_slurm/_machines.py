"""What the cluster has: its nodes with their GPUs, its partitions with their limits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from flow_core import TransientError
from flow_slurm._jobs import last_words
from flow_slurm._shell import Shell

_QUERY = "scontrol show node -o && echo --- && exec scontrol show partition -o"
_GPU = re.compile(r"gpu(?::([A-Za-z][^:,(]*))?:(\d+)")
_USED = re.compile(r"gres/gpu(?::([^=,]+))?=(\d+)")
DOWN = ("DOWN", "DRAIN", "FAIL", "MAINT", "UNKNOWN", "POWER", "NOT_RESPONDING")


@attrs.frozen
class Node:
    """A node: ``gpus`` and ``used`` by type (an empty text where the cluster names none), memory in bytes."""

    name: str
    up: bool
    cpus: int
    cpus_used: int
    memory: int
    gpus: Mapping[str, int]
    used: Mapping[str, int]
    partitions: tuple[str, ...]
    features: tuple[str, ...]


@attrs.frozen
class Partition:
    """A partition; ``max_time`` in seconds and ``max_nodes`` are None where there is no limit."""

    name: str
    is_default: bool
    up: bool
    max_time: float | None
    max_nodes: int | None


@attrs.frozen
class Machines:
    """All of it."""

    nodes: tuple[Node, ...]
    partitions: tuple[Partition, ...]

    def chosen(self, names: str | None) -> list[Partition]:
        """Return the partitions of ``names`` (with commas), or the default one."""
        wanted = names.split(",") if names else []
        return [p for p in self.partitions if (p.name in wanted if wanted else p.is_default)]

    def nodes_of(self, partitions: list[Partition]) -> list[Node]:
        """Return the nodes of some partitions."""
        names = {partition.name for partition in partitions}
        return [node for node in self.nodes if names.intersection(node.partitions)]

    @property
    def gpu_types(self) -> list[str]:
        """The types of GPUs that there are."""
        return sorted({kind for node in self.nodes for kind in node.gpus})


def query(shell: Shell) -> str:
    """Ask for nodes and partitions. Raises TransientError."""
    done = shell.run(_QUERY)
    if done.code:
        raise TransientError(f"scontrol failed: {last_words(done.err)}", "see `flow doctor`")
    return done.out


def parse(text: str) -> Machines:
    """Read the answer of :func:`query`, or that of slurmrestd."""
    if text.startswith("{"):
        return _restored(json.loads(text))
    nodes, _, partitions = text.partition("---\n")
    return Machines(
        tuple(_node(_words(line)) for line in nodes.splitlines() if line.startswith("NodeName=")),
        tuple(_partition(_words(line)) for line in partitions.splitlines() if line.startswith("PartitionName=")),
    )


def _restored(found: Mapping[str, Any]) -> Machines:
    lists = ("partitions", "features")
    nodes = (Node(**{**one, **{name: tuple(one[name]) for name in lists}}) for one in found["nodes"])
    return Machines(tuple(nodes), tuple(Partition(**one) for one in found["partitions"]))


def _words(line: str) -> dict[str, str]:
    return {key: value for key, _, value in (word.partition("=") for word in line.split())}


def _node(words: Mapping[str, str]) -> Node:
    state = words.get("State", "")
    return Node(
        name=words["NodeName"],
        up=not any(word in state for word in DOWN) and not state.endswith("*"),
        cpus=_number(words.get("CPUEfctv", words.get("CPUTot", ""))) or 0,
        cpus_used=_number(words.get("CPUAlloc", "")) or 0,
        memory=(_number(words.get("RealMemory", "")) or 0) * 2**20,
        gpus=gpus(words.get("Gres", "")),
        used=_counts(_USED.findall(words.get("AllocTRES", ""))),
        partitions=tuple(words.get("Partitions", "").split(",")),
        features=tuple(words.get("AvailableFeatures", "").replace("(null)", "").split(",")),
    )


def gpus(gres: str) -> dict[str, int]:
    """Return the GPUs of a Gres text by type."""
    return _counts(_GPU.findall(gres))


def _counts(found: list[tuple[str, str]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for kind, count in found:
        counts[kind] = counts.get(kind, 0) + int(count)
    return counts


def _partition(words: Mapping[str, str]) -> Partition:
    return Partition(
        name=words["PartitionName"],
        is_default=words.get("Default") == "YES",
        up=words.get("State") == "UP",
        max_time=_seconds(words.get("MaxTime", "")),
        max_nodes=_number(words.get("MaxNodes", "")),
    )


def _number(word: str) -> int | None:
    return int(word) if word.isdigit() else None


def _seconds(text: str) -> float | None:
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text)
    if not found:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
