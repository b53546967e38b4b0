"""What tasks use of their machine right now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from flow_core.nodes._machine import Gpu

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@attrs.frozen
class NodeUsage:
    """What a task uses of one machine: seconds of processor time since its start, bytes in memory, processes, its GPUs.

    ``at`` is seconds of that machine's monotonic clock: two looks tell how many cores are used.
    """

    at: float
    cpu_seconds: float
    memory: int
    processes: int
    gpus: tuple[Gpu, ...] = ()

    def cores_since(self, before: NodeUsage) -> float:
        """Return how many cores it has used since an earlier look, on average."""
        passed = self.at - before.at
        return max(0.0, self.cpu_seconds - before.cpu_seconds) / passed if passed > 0 else 0.0


def look(folders: Sequence[Path]) -> list[NodeUsage | None]:
    """Look at the tasks in these folders of this machine, all at once; None where there is no such folder any more."""
    from flow_core.runner import usage

    there = [str(folder) for folder in folders if folder.is_dir()]
    found = usage.look(there)
    return [parse_usage(found[str(folder)]._asdict()) if str(folder) in found else None for folder in folders]


def parse_usage(document: Mapping[str, Any]) -> NodeUsage:
    """Read the runner's word."""
    return NodeUsage(
        document["at"],
        document["cpu_seconds"],
        document["memory"],
        document["processes"],
        tuple(Gpu(*fields) for fields in document["gpus"]),
    )
