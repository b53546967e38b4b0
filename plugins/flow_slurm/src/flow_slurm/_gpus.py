"""The users' words for GPUs, and what the cluster calls them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import attrs

from flow_core import Problem
from flow_slurm._directives import Needs
from flow_slurm._machines import Node


@attrs.frozen
class Gres:
    """What to ask Slurm for: ``option`` as ``gpu:h100:8``, and a feature where the types of GPUs are features."""

    option: str
    kind: str = ""
    feature: str = ""


def find(needs: Needs, nodes: Sequence[Node], names: Mapping[str, str]) -> Gres | Problem:
    """Return what the GPUs of ``needs`` are called on ``nodes``, or why there are none.

    ``names`` are the profile's own: the user's word -> the type. Without one, a type is meant by its name or by a word
    in it (``h100`` is ``nvidia_h100_80gb_hbm3``).
    """
    types = sorted({kind for node in nodes for kind in node.gpus})
    if not types:
        return _none(needs, "no GPUs", nodes)
    if needs.gpu is None:
        return Gres(f"gpu:{needs.gpu_count}")
    named = [kind for kind in types if kind]
    found = list(_meant(names.get(needs.gpu, needs.gpu), named))
    if len(found) > 1:
        return _none(needs, f"several types of that name: {', '.join(found)}", nodes)
    if found:
        return Gres(f"gpu:{found[0]}:{needs.gpu_count}", found[0])
    features = [f for node in nodes if "" in node.gpus for f in node.features if f.lower() == needs.gpu]
    if features:
        return Gres(f"gpu:{needs.gpu_count}", "", features[0])
    return _none(needs, described(nodes), nodes)


def _meant(word: str, types: Sequence[str]) -> Iterator[str]:
    same = [kind for kind in types if kind.lower() == word.lower()]
    yield from same or [kind for kind in types if word.lower() in re.split(r"[_.\-]", kind.lower())]


def _none(needs: Needs, there: str, nodes: Sequence[Node]) -> Problem:
    hint = "choose one of them, or name it in the profile's gpu_types" if any(n.gpus for n in nodes) else ""
    wanted = f"{needs.gpu_count} x {needs.gpu or 'gpu'}"
    return Problem("instance_type", "NO_SUCH_GPU", f"{wanted} on a node: here there are {there}", hint)


def described(nodes: Sequence[Node]) -> str:
    """Say which GPUs there are: ``2 nodes with 4 x a100``."""
    shapes = sorted({(kind, count) for node in nodes for kind, count in node.gpus.items()})
    counts = [(sum(node.gpus.get(kind) == count for node in nodes), kind, count) for kind, count in shapes]
    said = [f"{n} node{'s' * (n > 1)} with {count} x {kind or 'gpu'}" for n, kind, count in counts]
    return ", ".join(said) or "no GPUs"
