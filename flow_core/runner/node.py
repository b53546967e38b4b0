"""The parts that run the ranks of this machine, and whose ranks they are."""

from typing import TYPE_CHECKING, Callable, Dict, Optional

from .ending import Ending
from .index import Index
from .loop import Loop
from .rank import Rank
from .watcher import reserve_descriptors
from .witness import Witness

if TYPE_CHECKING:
    from .task import Task

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
        self.ending.tidy(rank)

    def _over(self, rank: Rank) -> None:
        self.owners.pop(rank).over()

    def _never_ran(self, rank: Rank) -> None:
        self.owners[rank].never_ran(rank)
