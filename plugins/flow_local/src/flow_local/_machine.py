"""What this machine has: cores, memory, NVIDIA GPUs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_QUERY = ("nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits")


@attrs.frozen
class Gpu:
    """One GPU: ``id`` is what CUDA_VISIBLE_DEVICES takes, ``memory`` bytes."""

    id: str
    name: str
    memory: int

    @property
    def kind(self) -> str:
        """The name as people type it: ``NVIDIA A100-SXM4-80GB`` is ``a100``."""
        words = self.name.lower().replace("-", " ").split()
        return next((word for word in words if any(c.isdigit() for c in word)), words[-1] if words else "gpu")


@attrs.frozen
class Machine:
    """Cores this process may use, memory in bytes (the smaller of the machine's and the container's), GPUs."""

    cpus: int
    memory: int
    gpus: tuple[Gpu, ...]

    @property
    def summary(self) -> str:
        """What there is, for a refusal."""
        from flow_core.types import format_size

        kinds = sorted({gpu.kind for gpu in self.gpus})
        gpus = ", ".join(f"{sum(g.kind == kind for g in self.gpus)} x {kind}" for kind in kinds) or "no NVIDIA GPU"
        return f"{self.cpus} CPUs, {format_size(self.memory)} memory, {gpus}"


def detect() -> Machine:
    """Look at this machine; asks nvidia-smi when it is there (0.1 to 2 s)."""
    return Machine(cpus=cores(), memory=_memory(), gpus=tuple(_gpus()))


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([total, *_container_limits()])


def _container_limits() -> Iterator[int]:
    for path in _CGROUP_LIMITS:
        try:
            text = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            yield int(text)


def _gpus() -> Iterator[Gpu]:
    if shutil.which(_QUERY[0]) is None:
        return
    try:
        answer = subprocess.run(_QUERY, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return
    for line in answer.stdout.splitlines():
        index, name, memory = (part.strip() for part in line.split(","))
        yield Gpu(index, name, int(memory) * 1024**2)
