"""Nodes that share no folder: each brings its own things to the store, and rank 0, the last, says that all is there.

``stored/<rank>`` in a node's folder says that what this rank has is there; the nodes tell each other.
"""

import os
import time
from typing import Iterable, Optional

from . import bundle as bundles
from .peers import Peers
from .record import Doc, attempts, read_json, write_file

_LOOK = 0.1  # seconds


class Gathering:
    """What one node knows of the others while it brings its own; ``count`` is 1 where there are none."""

    def __init__(self, folder: str, peers: Optional[Peers] = None) -> None:
        doc = read_json(folder + "/bundle.json") or {}
        began = bool(attempts(folder))  # what never began has nothing anywhere
        self._folder, self._peers = folder, peers
        self.rank = int((doc.get("rank") or {}).get("here") or 0) if doc.get("peers") else 0
        self.count = int(doc.get("num_instances") or 1) if doc.get("peers") and began else 1

    def take_leave(self, tickets: Doc) -> "tuple[Doc, str]":
        """The ticket for this node's manifest, and its name below that."""
        return (tickets["nodes"], "%d.json" % self.rank) if self.rank else (tickets["final"], "")

    def wait_for_others(self, seconds: float) -> None:
        """Rank 0: wait until all others have brought theirs; one that does not come is not waited for longer than this."""
        if self.rank == 0:
            self._wait(range(1, self.count), seconds)

    def close(self, seconds: float) -> None:
        """Say that this node's things are there; another than rank 0 stays until that knows."""
        if self.count == 1:
            return
        os.makedirs(self._folder + "/stored", 0o700, exist_ok=True)
        write_file(self._path(self.rank), b"")
        self._wait([0], seconds)
        self._line().close()

    def _wait(self, ranks: Iterable[int], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not all(os.path.exists(self._path(rank)) for rank in ranks) and time.monotonic() < until:
            os.stat(self._folder)  # what was taken away waits for nobody
            self._line().look()
            time.sleep(_LOOK)

    def _path(self, rank: int) -> str:
        return "%s/stored/%d" % (self._folder, rank)

    def _line(self) -> Peers:
        if self._peers is None:
            self._peers = Peers(self._folder, bundles.read(self._folder), [self.rank])
            self._peers.start()
        return self._peers
