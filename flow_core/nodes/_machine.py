"""The queue of one machine: what it has to give, and whether anything waits for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

from flow_core.runner import mounts, record, watcher

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def is_abandoned(root: Path) -> bool:
    """Say whether nobody serves ``root`` though it has tasks that have not ended, or results on their way to a store.

    Cheap where somebody does, however many wait: who serves need not be called to look at them all.
    """
    return not watcher.is_watched(f"{root}/serve.lock") and (_holds(root / "tasks") or _holds(root / "uploads"))


def _holds(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(not entry.name.startswith(".") for entry in entries)
    except FileNotFoundError:
        return False


def describe_machine(root: Path, machine: Mapping[str, object]) -> None:
    """Tell the supervisor of ``root`` what there is to give out; keys that are left out keep what was said before.

    ``cpus`` (cores), ``memory`` (bytes), ``gpus`` (``[{"id", "name", "memory"}]``), ``max_tasks`` (None: only those that
    claim nothing are limited).
    """
    path = str(root / "machine.json")
    known = record.read_json(path) or {}
    if known != (wanted := {**known, **machine}):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        record.write_json(path, wanted)


@attrs.frozen
class Gpu:
    """An NVIDIA GPU or MIG device of this machine: memory in bytes, ``percent`` of the last moment in which it computed.

    ``id`` is what CUDA_VISIBLE_DEVICES takes (an index in the order of the bus, a MIG device's UUID), ``kind`` the name
    as people type it (``a100``, ``3g.20gb``), ``user`` who computes on it now, empty where nobody is seen to.
    """

    id: str
    kind: str
    name: str
    memory: int
    used: int = 0
    percent: float | None = None
    user: str = ""


def find_gpus() -> list[Gpu]:
    """Return this machine's GPUs by asking ``nvidia-smi`` (0.1 to 2 s); none where there is no such program."""
    from flow_core.runner import gpus

    return [Gpu(*device) for device in gpus.find()]


def enforced_limits() -> Mapping[str, int]:
    """Return what is enforced of ``memory`` and ``cpu`` claims here, and by which version of control groups."""
    from flow_core.runner import cgroup

    return cgroup.enforced()


def mounts_impossible() -> str:
    """Say why a task on this machine cannot have mounts of its own; empty when it can."""
    return mounts.possible() or ""
