"""Who waits, who is next, and why the others are not. The policy of the queue is here and nowhere else.

In order: higher priority, then age. A task may pass those before it only where it provably delays none of them: of
each thing that it takes and they want too, enough for all of them is still left once it has taken its part. How long
anything runs is not asked: a time limit says when a task ends at the latest, so it never proves that those before it
could not have started sooner.
"""

import bisect
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from .claims import AMOUNTS, Claim
from .sizes import size
from .slots import Slots, gpu_words

_FAR = 100  # different claims; behind so many that wait nobody passes
_NAMED = 3  # tasks that a reason names
NUMBERED = 20  # places in line that are told one by one
_PLACE = {"tasks": "slots"}  # for a reader the same
_ROUNDING = 1e-9
_ORDINALS = ("first", "second", "third")


class Waiting(NamedTuple):
    """A task that waits; the least one is next."""

    precedence: int
    created_at: float
    task: str
    task_id: str
    wanted: Claim


class Line:
    """All that wait for room, kept by what they claim: of those that claim the same the first decides."""

    def __init__(self) -> None:
        self._groups: Dict[Claim, List[Waiting]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, precedence: int, created_at: float, task: str, task_id: str, wanted: Claim) -> Waiting:
        """Put a task in line. Tasks that claim the same share one claim: there may be ten thousand."""
        group = self._groups.setdefault(wanted, [])
        new = Waiting(precedence, created_at, task, task_id, group[0].wanted if group else wanted)
        bisect.insort(group, new)
        self._count += 1
        return new

    def remove(self, waiting: Waiting) -> None:
        """Take a task out of line."""
        group = self._groups[waiting.wanted]
        del group[bisect.bisect_left(group, waiting)]
        self._count -= 1
        if not group:
            del self._groups[waiting.wanted]

    def heads(self) -> List[Waiting]:
        """The first of each claim, in order, as far as anybody looks."""
        return sorted(group[0] for group in self._groups.values())[:_FAR]

    def __iter__(self) -> Iterator[Waiting]:
        """All in order."""
        return iter(sorted(waiting for group in self._groups.values() for waiting in group))

    def next(self, slots: Slots) -> Optional[Waiting]:
        """The task to start now; None while there is no room."""
        ahead: List[Waiting] = []
        for head in self.heads():
            if slots.fits(head.wanted):
                if self._delayed(head, ahead, slots) is None:
                    return head
            elif slots.is_oversize(head.wanted):
                return None  # it starts when nothing runs
            ahead.append(head)
        return None

    def gpus_for(self, chosen: Waiting, slots: Slots) -> List[str]:
        """The GPUs to give to a task, where possible none that those before it could use."""
        ahead = (head for head in self.heads() if head < chosen)
        return slots.choose(chosen.wanted, {gpu for head in ahead for gpu in slots.suiting(head.wanted)})

    def _delayed(self, one: Waiting, ahead: List[Waiting], slots: Slots) -> Optional[Waiting]:
        """Which of those before it a task would delay, if it started now; None for none."""
        for at, want in enumerate(one.wanted.amounts):
            rivals = [head for head in ahead if want and head.wanted.amounts[at]]
            need = sum(self._share(head, one, at, slots) for head in rivals)
            if rivals and slots.free(at) - want + _ROUNDING < need:
                return rivals[0]
        return self._short_of_gpus(one, ahead, slots) if one.wanted.gpus else None

    def _share(self, head: Waiting, one: Waiting, at: int, slots: Slots) -> float:
        """What those of one claim that are before ``one`` could take at the same time."""
        return head.wanted.amounts[at] * min(self._before(head, one), _at_once(head.wanted, slots))

    def _before(self, head: Waiting, one: Waiting) -> int:
        return bisect.bisect_left(self._groups[head.wanted], one)

    def _short_of_gpus(self, one: Waiting, ahead: List[Waiting], slots: Slots) -> Optional[Waiting]:
        sets = {head.wanted: set(slots.suiting(head.wanted)) for head in ahead if head.wanted.gpus}
        chosen = set(slots.choose(one.wanted, set().union(*sets.values()) if sets else ()))
        for head in ahead:
            mine = sets.get(head.wanted, set())
            if not mine & chosen:
                continue
            left = set(slots.free_gpus(head.wanted)) - chosen
            if len(left) < self._gpu_need(one, mine, ahead, sets):
                return head
        return None

    def _gpu_need(self, one: Waiting, mine: Set[str], ahead: List[Waiting], sets: Dict[Claim, Set[str]]) -> int:
        rivals = [head for head in ahead if sets.get(head.wanted, set()) & mine]
        return sum(min(head.wanted.gpus * self._before(head, one), len(sets[head.wanted])) for head in rivals)

    def reasons(self, slots: Slots) -> Iterator[Tuple[Waiting, int, str]]:
        """Every task that waits, in order, with its place (from 1) and why it waits."""
        heads = self.heads()
        why = {head.task: self._why(head, heads[:at], slots) for at, head in enumerate(heads)}
        for at, waiting in enumerate(self):
            yield waiting, at + 1, _in_line(at, why.get(waiting.task, ""))

    def _why(self, head: Waiting, ahead: List[Waiting], slots: Slots) -> str:
        if not slots.fits(head.wanted):
            return "waits for " + " and ".join(_shortages(head.wanted, slots))
        rival = self._delayed(head, ahead, slots)
        if rival is not None:
            return "waits for %s, which is before it and would be delayed" % rival.task_id
        return "" if ahead else "about to start"


def _at_once(wanted: Claim, slots: Slots) -> int:
    """How many tasks of one claim this machine could run together at most."""
    bounds = [total // want for total, want in zip(slots.total.amounts, wanted.amounts) if want]
    if wanted.gpus and slots.gpus is not None:
        bounds.append(len(slots.suiting(wanted)) // wanted.gpus)
    return int(max(1, min(bounds)))


def _in_line(at: int, why: str) -> str:
    if at == 0:
        return why
    near = at < NUMBERED
    place = "%s in line" % ordinal(at + 1) if near else "in line behind more than %d others" % (NUMBERED - 1)
    return "%s; %s" % (why, place) if why else place


def ordinal(number: int) -> str:
    """``first``, ``second``, ``third``, ``4th``."""
    if number <= len(_ORDINALS):
        return _ORDINALS[number - 1]
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return "%d%s" % (number, ending)


def _shortages(wanted: Claim, slots: Slots) -> Iterator[str]:
    if slots.is_oversize(wanted):
        yield "all other tasks to end: it has more nodes than there are places (%d)" % slots.total.slots
        return
    if wanted.gpus and slots.gpus is not None:
        yield from _gpu_shortage(wanted, slots)
    for name in dict.fromkeys(_PLACE.get(AMOUNTS[at], AMOUNTS[at]) for at in slots.lacks(wanted)):
        yield _shortage(wanted, name, slots)


def _gpu_shortage(wanted: Claim, slots: Slots) -> Iterator[str]:
    missing = wanted.gpus - len(slots.free_gpus(wanted))
    if missing <= 0:
        return
    suiting, busy = slots.suiting(wanted), slots.busy_gpus()
    ours = _names(sorted({busy[gpu] for gpu in suiting if gpu in busy}))
    theirs = ["GPU %s by %s" % (gpu, slots.others[gpu]) for gpu in suiting if gpu in slots.others and gpu not in busy]
    users = ", ".join([*([ours] if ours else []), *theirs])
    yield (
        "%d of %d %s (used: %s)" % (missing, wanted.gpus, gpu_words(wanted), users)
        if theirs
        else ("%d of %d %s (used by %s)" % (missing, wanted.gpus, gpu_words(wanted), users))
    )


def _shortage(wanted: Claim, name: str, slots: Slots) -> str:
    everyone = name == "slots" and slots.limits_all
    users = [user.task_id for user in slots.users.values() if everyone or getattr(user.wanted, name)]
    free = max(0.0, slots.free(AMOUNTS.index(name)))
    if name == "cpus":
        return "%g of %g cores (used by %s)" % (wanted.cpus - free, wanted.cpus, _names(users))
    if name == "memory":
        missing = size(wanted.memory - free)
        return "%s of %s memory (used by %s)" % (missing, size(wanted.memory), _names(users))
    return "a free place (max_tasks %d, used by %s)" % (slots.total.slots, _names(users))


def _names(tasks: List[str]) -> str:
    more = len(tasks) - _NAMED
    return ", ".join(tasks[:_NAMED]) + (" and %d more" % more if more > 0 else "")
