"""How much of this machine is free, and who has the rest."""

import os
from typing import Collection, Dict, List, Mapping, NamedTuple, Optional

from .claims import Claim, Gpu, suits
from .record import Doc, read_json
from .sizes import size

_PER_CORE = 4  # tasks without a claim; most of them wait for something else than a core
_NO_LIMIT = 1 << 62
_ROUNDING = 1e-9  # shares of a core are no exact numbers
NOTHING = Claim(0, 0, 0.0, 0)


class User(NamedTuple):
    """A task that runs: what people call it, what it takes, the ids of its GPUs."""

    task_id: str
    wanted: Claim
    gpus: List[str]


class Slots:
    """The machine as ``machine.json`` tells it, less what runs.

    Keys: ``cpus`` (cores), ``memory`` (bytes), ``gpus`` (``[{"id", "name", "memory"}]``), ``max_tasks`` (of all
    tasks; without it only those that claim nothing are limited, to 4 per core). Without ``gpus`` none are handed out
    and none are hidden. ``others`` tells what uses GPUs without being a task of this queue: id -> who.
    """

    def __init__(self, root: str) -> None:
        self._path = root + "/machine.json"
        self.users: Dict[str, User] = {}
        self.others: Mapping[str, str] = {}
        self._read_at = -1
        self._cores = os.cpu_count() or 1
        self._used = list(NOTHING.amounts)
        self.gpus: Optional[List[Gpu]] = None
        self.total = NOTHING
        self.refresh()

    def refresh(self) -> None:
        """Read ``machine.json`` again if it was changed."""
        try:
            changed = os.stat(self._path).st_mtime_ns
        except OSError:
            changed = 0
        if changed != self._read_at:
            self._read_at = changed
            self._read(read_json(self._path) or {})

    def _read(self, machine: Doc) -> None:
        found = machine.get("gpus")
        self.gpus = None if found is None else [_gpu(doc) for doc in found]
        most = machine.get("max_tasks")
        self.total = Claim(
            int(most or _NO_LIMIT),
            int(most or _PER_CORE * self._cores),
            float(machine.get("cpus") or self._cores),
            int(machine.get("memory") or _NO_LIMIT),
            len(self.gpus or ()),
        )

    @property
    def limits_all(self) -> bool:
        """Whether ``max_tasks`` was said: then it is for all tasks."""
        return self.total.tasks < _NO_LIMIT

    def impossible(self, wanted: Claim) -> Optional[str]:
        """Why this machine can never run it; None where it can."""
        if self.gpus is not None and wanted.gpus > len(self.suiting(wanted)):
            there = len(self.suiting(wanted))
            return "it needs %d %s and this machine has %d: ask for fewer" % (wanted.gpus, gpu_words(wanted), there)
        if wanted.cpus > self.total.cpus:
            return "it needs %g cores and this machine has %g: lower cpus" % (wanted.cpus, self.total.cpus)
        if wanted.memory > self.total.memory:
            there_is = size(self.total.memory)
            return "it needs %s of memory and this machine has %s: lower memory" % (size(wanted.memory), there_is)
        return None

    def is_oversize(self, wanted: Claim) -> bool:
        """Whether it has more ranks than there are slots: then it runs alone."""
        return wanted.slots > self.total.slots

    def free(self, at: int) -> float:
        """How much is left of the amount with that place in AMOUNTS."""
        return self.total.amounts[at] - self._used[at]

    def lacks(self, wanted: Claim) -> List[int]:
        """The amounts, by their place in AMOUNTS, of which too little is free."""
        return [at for at, want in enumerate(wanted.amounts) if want and want > self.free(at) + _ROUNDING]

    def suiting(self, wanted: Claim) -> List[str]:
        """The GPUs that would do, free or not."""
        return [gpu.id for gpu in self.gpus or () if suits(gpu, wanted)] if wanted.gpus else []

    def free_gpus(self, wanted: Claim) -> List[str]:
        """The GPUs that would do and that nobody uses."""
        busy = self.busy_gpus()
        return [gpu for gpu in self.suiting(wanted) if gpu not in busy and gpu not in self.others]

    def busy_gpus(self) -> Dict[str, str]:
        """GPU -> the task that has it."""
        return {gpu: user.task_id for user in self.users.values() for gpu in user.gpus}

    def fits(self, wanted: Claim) -> bool:
        """Whether it could start now. More ranks than there are slots fit when nothing else runs."""
        if self.gpus is not None and wanted.gpus and len(self.free_gpus(wanted)) < wanted.gpus:
            return False
        return not self.users or not self.lacks(wanted)

    def choose(self, wanted: Claim, spare: Collection[str] = ()) -> List[str]:
        """The free GPUs to give to it, where possible none of those in ``spare``."""
        return sorted(self.free_gpus(wanted), key=lambda gpu: gpu in spare)[: wanted.gpus]

    def take(self, task: str, task_id: str, wanted: Claim, gpus: Optional[List[str]]) -> None:
        """Note that a task runs with these GPUs."""
        self.give_back(task)
        self.users[task] = User(task_id, wanted, gpus or [])
        self._add(wanted, 1)

    def give_back(self, task: str) -> None:
        """Note that a task has ended."""
        user = self.users.pop(task, None)
        if user is not None:
            self._add(user.wanted, -1)

    def _add(self, wanted: Claim, sign: int) -> None:
        self._used = [used + sign * want for used, want in zip(self._used, wanted.amounts)]
        if not self.users:  # so that rounding never adds up
            self._used = list(NOTHING.amounts)


def gpu_words(wanted: Claim) -> str:
    """What kind of GPUs it asks for, in words."""
    kind = "%s GPU" % wanted.gpu_kind if wanted.gpu_kind else "GPU"
    memory = " with %s" % size(wanted.gpu_memory) if wanted.gpu_memory else ""
    return "%s%s%s" % (kind, "" if wanted.gpus == 1 else "s", memory)


def _gpu(doc: Doc) -> Gpu:
    return Gpu(str(doc["id"]), str(doc.get("name") or ""), int(doc.get("memory") or 0))
