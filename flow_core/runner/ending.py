"""Ending ranks: the stop signal to every process, then a grace, then SIGKILL until none is left."""

import signal
import time
from typing import Callable, Dict, List, Set

from . import process, tree
from .loop import Loop
from .rank import Rank
from .witness import Witness

# A watcher this young (seconds) may not have started the command yet, whose shell would swallow a signal.
_YOUNG = 0.05
_LOOK = 0.05
_IDLE = 0.5
# An engine whose container has ended tells its exit code within this time (seconds), or is killed.
_ENGINE_GRACE = 10.0
# What a command leaves behind when it ends has no claim on a long grace (seconds).
_LEFTOVER_GRACE = 5.0


class _Stop:
    """One rank that is being ended."""

    def __init__(self, rank: Rank, number: int, deadline: float) -> None:
        self.rank, self.number, self.deadline = rank, number, deadline
        self.told: Set[int] = set()
        self.looks = 0
        self.contained = False  # what runs in its container was seen


class Ending:
    """Ends ranks, and what ended ranks have left behind; ``on_over`` is called when nothing is left."""

    def __init__(self, loop: Loop, witness: Witness, on_over: Callable[[Rank], None]) -> None:
        self._loop, self._witness, self._on_over = loop, witness, on_over
        self._stops: Dict[Rank, _Stop] = {}

    def stop(self, rank: Rank, state: str, reason: str, number: int, grace: float) -> None:
        """End a live rank for a reason, which is on record before anything is done. Again with less grace: sooner."""
        deadline = time.monotonic() + max(0.0, grace)
        if rank in self._stops:
            stop = self._stops[rank]
            if deadline < stop.deadline:
                stop.deadline = deadline
                self._step(stop, again=False)
            return
        rank.append("r %s %s" % (state, reason))
        stop = self._stops[rank] = _Stop(rank, number, deadline)
        self._loop.at(max(time.monotonic(), rank.since + _YOUNG), lambda: self._step(stop))

    def send(self, rank: Rank, number: int) -> None:
        """Signal all processes of a live rank."""
        if rank.live:
            found = tree.members(rank.tree())
            tree.send(_inside(rank, found) or found, number)

    def tidy(self, rank: Rank) -> None:
        """End what a rank that has ended left running: processes in the background, also in sessions of their own."""
        stop = self._stops.get(rank)
        if stop is None:
            if not self._leftovers(rank):
                self._done(rank)
                return
            stop = self._stops[rank] = _Stop(rank, signal.SIGTERM, time.monotonic() + _LEFTOVER_GRACE)
        self._step(stop, again=not stop.looks)

    def _step(self, stop: _Stop, again: bool = True) -> None:
        rank = stop.rank
        if rank.over:
            return
        found = self._reachable(stop, self._members(rank))
        if rank.end is not None and not found:
            self._done(rank)
            return
        self._send(stop, found)
        stop.looks += 1
        if again:
            self._loop.after(self._pause(stop), lambda: self._step(stop))

    def _reachable(self, stop: _Stop, found: List[int]) -> List[int]:
        """Of a container what is inside: its engine must live to tell how that ends, and would pass a signal on."""
        if stop.rank.removal is None:
            return found
        inside = _inside(stop.rank, found)
        stop.contained = stop.contained or bool(inside)
        waits = stop.contained and time.monotonic() < stop.deadline + _ENGINE_GRACE
        return inside if inside or waits else found

    def _send(self, stop: _Stop, found: List[int]) -> None:
        if time.monotonic() >= stop.deadline:
            # A stopped watcher would never write the end of the command.
            tree.send(found, signal.SIGKILL)
            if stop.rank.end is None and stop.rank.leader:
                tree.send([stop.rank.leader], signal.SIGCONT)
            return
        tree.send([pid for pid in found if pid not in stop.told], stop.number)
        stop.told.update(found)

    def _pause(self, stop: _Stop) -> float:
        left = stop.deadline - time.monotonic()
        if stop.rank.end is not None or left <= 0 or stop.looks < 3:
            return _LOOK if stop.looks < 200 else _IDLE
        return min(_IDLE, left)

    def _leftovers(self, rank: Rank) -> List[int]:
        """What still runs of a rank that has ended; cheap where it left nothing."""
        if rank.group is not None and rank.group.pids():
            return self._members(rank)
        tidy = rank.orphans_come_here and rank.removal is None and not self._orphans(rank)
        if not rank.watcher or tidy:
            return []
        return self._members(rank)

    def _members(self, rank: Rank) -> List[int]:
        found = tree.members(rank.tree())
        if rank.group is not None:
            found += [pid for pid in rank.group.pids() if pid not in found]
        if rank.end is not None and rank.orphans_come_here:
            found += [pid for pid in self._orphans(rank) if pid not in found]
        return found

    def _orphans(self, rank: Rank) -> List[int]:
        """Orphans of this rank that were given to us; also those that nothing marks any more, if no other rank runs."""
        rows = ((pid, process.stat(pid)) for pid in self._witness.strangers() if pid != rank.watcher)
        live = [(pid, row) for pid, row in rows if row is not None and row.state not in "ZX"]
        if not live:
            return []
        # What looks after containers is nobody's, and goes by itself.
        mine, alone = rank.tree(), self._witness.idle and rank.removal is None
        return [pid for pid, row in live if tree.owns(mine, pid, row) or (alone and tree.is_unmarked(pid))]

    def _done(self, rank: Rank) -> None:
        self._stops.pop(rank, None)
        if rank.group is not None:
            rank.group.remove()
        rank.over = True
        self._on_over(rank)


def _inside(rank: Rank, found: List[int]) -> List[int]:
    """Those that are not in the session of the rank's watcher, as its engine is."""
    if rank.removal is None:
        return found
    rows = ((pid, process.stat(pid)) for pid in found)
    return [pid for pid, row in rows if row is not None and row.session != rank.watcher]
