"""Control groups, version 1: limits, and the freezer."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("memory", "cpu", "pids", "freezer")
_MOST_PROCESSES = 4096


def create(name: str, memory: int | None, cpus: float | None) -> list[Path]:
    """Make the groups of a machine in those controllers that may be written. ``memory`` is in MiB."""
    groups = [_ROOT / each / name for each in _CONTROLLERS if os.access(_ROOT / each / "cgroup.procs", os.W_OK)]
    for group in groups:
        group.mkdir(exist_ok=True)
        for file, value in _limits(group.parent.name, memory, cpus).items():
            (group / file).write_text(value)
    return groups


def freezer(groups: Iterable[Path]) -> Path | None:
    return next((group / "freezer.state" for group in groups if group.parent.name == "freezer"), None)


def delete(groups: Iterable[Path]) -> None:
    """Remove groups, with those below, whose processes have ended; the kernel may take a moment to see it."""
    for group in [path for top in groups for path in (*sorted(top.glob("**/"), reverse=True), top)]:
        for _ in range(200):
            try:
                group.rmdir()
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.005)
            else:
                break


def left(prefix: str) -> list[Path]:
    """Return the groups whose names begin with ``prefix``."""
    return [path for each in _CONTROLLERS for path in (_ROOT / each).glob(f"{prefix}*")]


def _limits(controller: str, memory: int | None, cpus: float | None) -> dict[str, str]:
    if controller == "memory" and memory is not None:
        return {"memory.limit_in_bytes": f"{memory}M"}
    if controller == "cpu" and cpus is not None:
        return {"cpu.cfs_quota_us": str(int(cpus * 100_000))}
    return {"pids.max": str(_MOST_PROCESSES)} if controller == "pids" else {}
