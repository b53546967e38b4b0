"""The parts that run the ranks of this machine, and whose ranks they are."""

import os
import signal
from typing import TYPE_CHECKING, Callable, Dict, Optional

from .containers import Start
from .ending import Ending
from .index import Index
from .loop import Loop
from .rank import Rank
from .watcher import reserve_descriptors
from .witness import Witness

if TYPE_CHECKING:
    from .task import Task

_REMOVAL_SECONDS = 30.0
Say = Callable[["Task", Optional[Rank], str], None]


class Node:
    """The loop, the witness, the ending and the index of this process; ``say`` gets what changes."""

    def __init__(self, say: Say) -> None:
        reserve_descriptors()
        self.say = say
        self.owners: Dict[Rank, "Task"] = {}
        self.loop = Loop()
        self.index = Index(self.loop)
        self.witness = Witness(self.loop, self._ended, self._never_ran)
        self.witness.on_command = self.index.add
        self.ending = Ending(self.loop, self.witness, self._over)

    def _ended(self, rank: Rank) -> None:
        self.index.remove(rank)
        self.owners[rank].ended(rank)
        if rank.removal is None or _is_gone(rank):
            self.ending.tidy(rank)
        else:
            self._remove(rank, rank.removal)

    def _remove(self, rank: Rank, removal: Start) -> None:
        """End and remove what may be left of its containers, then what else is left of it."""

        def removed() -> None:
            if not rank.over:
                self.ending.tidy(rank)

        try:
            pid = _spawn(removal)
        except OSError:  # no room, or no engine any more
            removed()
            return
        self.witness.other_children[pid] = removed
        self.loop.after(_REMOVAL_SECONDS, lambda: self._give_up(pid))

    def _give_up(self, pid: int) -> None:
        """An engine that hangs holds up no task."""
        if pid in self.witness.other_children:
            os.kill(pid, signal.SIGKILL)

    def _over(self, rank: Rank) -> None:
        self.owners.pop(rank).over()

    def _never_ran(self, rank: Rank) -> None:
        self.owners[rank].never_ran(rank)


def _is_gone(rank: Rank) -> bool:
    """Whether the container ended by itself: its engine has told a code of the command, and removes it."""
    end = rank.end
    return end is not None and end.code is not None and end.code < 125 and end.verdict is None


def _spawn(start: Start) -> int:
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    return os.posix_spawn(start.argv[0], start.argv, start.env, file_actions=null, setsid=True, setsigmask=[])
