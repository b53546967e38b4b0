"""What this machine has: cores, memory, NVIDIA GPUs."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from flow_core import nodes
from flow_core.errors import StateError
from flow_core.settings import make_folder

_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_CPU_LIMIT = "/sys/fs/cgroup/cpu.max"
_CPU_LIMIT_OF_OLD = "/sys/fs/cgroup/cpu/cpu.cfs_%s_us"
_REMEMBERED = 60.0  # seconds for which GPUs are not looked for again
_NOTE = "gpus.json"


@attrs.frozen
class Machine:
    """Cores this process may use, memory in bytes (the smaller of the machine's and the container's), GPUs."""

    cpus: int
    memory: int
    gpus: tuple[nodes.Gpu, ...]

    @property
    def summary(self) -> str:
        """What there is, for a refusal."""
        from flow_core.types import format_size

        kinds = sorted({gpu.kind for gpu in self.gpus})
        gpus = ", ".join(f"{sum(g.kind == kind for g in self.gpus)} x {kind}" for kind in kinds) or "no NVIDIA GPU"
        return f"{self.cpus} CPUs, {format_size(self.memory)} memory, {gpus}"


def detect(memory: Path | None = None) -> Machine:
    """Look at this machine; asks nvidia-smi when it is there (0.1 to 2 s).

    ``memory``: a folder that remembers the GPUs for a minute, without who uses them: a loop of submits asks once.
    """
    return Machine(cpus=cores(), memory=_memory(), gpus=_remembered(memory) or _gpus(memory))


@functools.cache
def cores() -> int:
    """Return the number of cores that this process may use: by its mask, and by the quota of its container."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([found, *_quota()]))


def _quota() -> Iterator[int]:
    both = _read(_CPU_LIMIT).split() or [_read(_CPU_LIMIT_OF_OLD % "quota"), _read(_CPU_LIMIT_OF_OLD % "period")]
    if len(both) == 2 and all(word.isdigit() for word in both):
        yield int(both[0]) // int(both[1])


def _memory() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([total, *(int(text) for path in _MEMORY_LIMITS if (text := _read(path)).isdigit())])


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _gpus(memory: Path | None) -> tuple[nodes.Gpu, ...]:
    found = tuple(nodes.find_gpus())
    if memory is not None and found:
        plain = [[gpu.id, gpu.kind, gpu.name, gpu.memory] for gpu in found]
        with contextlib.suppress(OSError, StateError):
            make_folder(memory)
            new = memory / f".{_NOTE}.{os.getpid()}"
            new.write_text(json.dumps(plain), encoding="utf-8")
            new.rename(memory / _NOTE)
    return found


def _remembered(memory: Path | None) -> tuple[nodes.Gpu, ...]:
    if memory is None:
        return ()
    try:
        if not 0 <= time.time() - (memory / _NOTE).stat().st_mtime < _REMEMBERED:
            return ()
        return tuple(nodes.Gpu(*fields) for fields in json.loads((memory / _NOTE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return ()
