"""The queue of one machine: what it has to give, and whether anything waits for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flow_core.runner import mounts, record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def is_waiting(root: Path) -> bool:
    """Say whether ``root`` has tasks that have not ended."""
    try:
        with os.scandir(root / "tasks") as entries:
            return any(not entry.name.startswith(".") for entry in entries)
    except FileNotFoundError:
        return False


def describe_machine(root: Path, machine: Mapping[str, object]) -> None:
    """Tell the supervisor of ``root`` what there is to give out; keys that are left out keep what was said before.

    ``cpus`` (cores), ``memory`` (bytes), ``gpus`` (``[{"id", "name"}]``), ``max_tasks``.
    """
    path = str(root / "machine.json")
    known = record.read_json(path) or {}
    if known != (wanted := {**known, **machine}):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        record.write_json(path, wanted)


def mounts_impossible() -> str:
    """Say why a task on this machine cannot have mounts of its own; empty when it can."""
    return mounts.possible() or ""
