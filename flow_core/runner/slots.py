"""How much of this machine is free, and which waiting task is next."""

import os
from typing import Dict, List, NamedTuple, Optional, Tuple

from .bundle import Bundle
from .record import Doc, read_json

_PER_CORE = 4  # tasks without a claim; most of them wait for something else than a core


class Claim(NamedTuple):
    """What one task takes of a machine, all its ranks together."""

    slots: int
    cpus: float
    memory: int
    gpus: int


def claim(bundle: Bundle) -> Claim:
    """What a task takes; one that claims nothing takes a slot per rank."""
    limits, ranks = bundle.limits, bundle.num_instances
    unclaimed = limits.cpus is None and limits.memory is None and not limits.gpu_count
    return Claim(
        ranks if unclaimed else 0,
        (limits.cpus or 0.0) * ranks,
        (limits.memory or 0) * ranks,
        limits.gpu_count * ranks,
    )


class Slots:
    """The machine as ``machine.json`` tells it, less what runs.

    Keys: ``cpus`` (cores), ``memory`` (bytes), ``gpus`` (``[{"id", "name"}]``), ``max_tasks`` (4 per core);
    without ``gpus`` none are handed out and none are hidden.
    """

    def __init__(self, root: str) -> None:
        self._path = root + "/machine.json"
        self._used: Dict[str, Tuple[Claim, List[str]]] = {}
        self._read_at = -1
        self._cores = os.cpu_count() or 1
        self._machine: Doc = {}
        self.refresh()

    def refresh(self) -> None:
        """Read ``machine.json`` again if it was changed."""
        try:
            changed = os.stat(self._path).st_mtime_ns
        except OSError:
            changed = 0
        if changed != self._read_at:
            self._read_at, self._machine = changed, read_json(self._path) or {}

    @property
    def gpus(self) -> Optional[List[str]]:
        """The ids of this machine's GPUs; None where they are not ours to hand out."""
        found = self._machine.get("gpus")
        return None if found is None else [str(gpu["id"]) for gpu in found]

    def _total(self) -> Claim:
        cores = self._cores
        gpus = self.gpus
        return Claim(
            int(self._machine.get("max_tasks") or _PER_CORE * cores),
            float(self._machine.get("cpus") or cores),
            int(self._machine.get("memory") or 1 << 62),
            1 << 30 if gpus is None else len(gpus),
        )

    def impossible(self, wanted: Claim) -> Optional[str]:
        """Why this machine can never run it; None where it can."""
        total = self._total()
        if wanted.gpus > total.gpus:
            return "it needs %d GPUs and this machine has %d: ask for fewer" % (wanted.gpus, total.gpus)
        if wanted.cpus > total.cpus:
            return "it needs %g cores and this machine has %g: lower cpus" % (wanted.cpus, total.cpus)
        if wanted.memory > total.memory:
            return "it needs %d bytes of memory and this machine has %d: lower memory" % (
                wanted.memory,
                total.memory,
            )
        return None

    def fits(self, wanted: Claim) -> bool:
        """Whether it could start now. More ranks than there are slots fit when nothing else runs."""
        if not self._used:
            return True
        total, used = self._total(), [claim for claim, _ in self._used.values()]
        return all(
            want <= whole - sum(claim[at] for claim in used)
            for at, (want, whole) in enumerate(zip(wanted, total))
            if want
        )

    def take(self, task: str, wanted: Claim, gpus: Optional[List[str]] = None) -> Optional[List[str]]:
        """Note that a task runs; the GPUs it got (``gpus``: those it has already), None where they are not ours."""
        if self.gpus is None:
            self._used[task] = (wanted, [])
            return None
        busy = {gpu for _, taken in self._used.values() for gpu in taken}
        free = [gpu for gpu in self.gpus if gpu not in busy]
        given = free[: wanted.gpus] if gpus is None else gpus
        self._used[task] = (wanted, given)
        return given

    def give_back(self, task: str) -> None:
        """Note that a task has ended."""
        self._used.pop(task, None)


class Waiting(NamedTuple):
    """A task that waits; the least one is next: higher priority, then age."""

    precedence: int
    created_at: float
    task: str
    wanted: Claim


def startable(waiting: List[Waiting], slots: Slots) -> Optional[Waiting]:
    """The task to start now, of a sorted list; None while there is no room. The policy is here and nowhere else.

    Strictly in order: a task that finds no room holds back those behind it, so that a large one starts at all.
    """
    return waiting[0] if waiting and slots.fits(waiting[0].wanted) else None
