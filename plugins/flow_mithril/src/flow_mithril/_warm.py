"""Kept machines: a task that fits takes the machines of one that has ended, instead of new ones.

Which of two clients gets them is decided on the first machine, by a file that can be made only once (see the runner's
keeper: the machine of rank 0 acts for all).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any

import attrs

from flow_core import nodes
from flow_core.errors import TransientError
from flow_mithril._fleet import Fleet
from flow_mithril._orders import Order, Orders
from flow_mithril._records import Record, Records
from flow_mithril._script import ROOT

_CLAIM = (
    "cd {root}/tasks/{kept} && [ -e fetched ] && [ $(cat {root}/ends_at) -gt $(($(date +%s)+{seconds:.0f})) ] || exit 0; "
    "(set -C; echo {name} >next) 2>/dev/null; cat next"
)


@attrs.frozen
class Wish:
    """What a task wants of a kept machine: one of these kinds, its volumes, a price per machine and hour, seconds."""

    fits: Collection[str]
    volumes: Sequence[dict[str, Any]]
    most: Decimal | None
    seconds: float


class KeptMachines:
    """The machines that this client's ended tasks have left."""

    def __init__(self, fleet: Fleet, records: Records, orders: Orders) -> None:
        self._fleet, self._records, self._orders = fleet, records, orders

    def fitting(self, wish: Wish) -> list[Record]:
        """Return the ended tasks whose machines would do, as far as is known here."""
        return [
            kept
            for kept in self._records.warm()
            if kept.fits in wish.fits
            and all(volume in kept.volumes for volume in wish.volumes)
            and time.time() < kept.kept_at + kept.keep
        ]

    def take(self, request: str, wish: Wish) -> Record | None:
        """Take a machine for a staged task; None when there is none to be had."""
        for kept in self.fitting(wish):
            order = self._order(kept)
            dear = order is not None and wish.most is not None and order.limit is not None and order.limit > wish.most
            if order is None or dear or not order.is_up or order.status == "Preempting":
                continue
            self._records.change(request, on=kept.request)  # before it is asked: a killed client finds out
            try:
                if self._claim(kept, order, request, wish.seconds):
                    taken = self._taken(request, kept)
                    self._fleet.delivering(taken, order, str, 0.0)  # begun at once: somebody waits for its first line
                    return taken
            except TransientError:  # claimed or not: without its folder nothing runs there
                continue
        self._records.change(request, on="")
        return None

    def found(self, record: Record) -> Record | None:
        """Return the record of a task whose client was killed while it took a machine; None: it did not get it."""
        if record.fid:
            self._records.cool(record.on)
            return record
        kept = self._records.get(record.on)
        order = self._order(kept)
        if order is None or not order.is_up:
            return None
        return self._taken(record.request, kept) if self._claim(kept, order, record.request, 0.0) else None

    def close(self, kept: Record, order: Order) -> bool:
        """See that no task can take these machines any more; False when one has."""
        try:
            return not order.is_up or self._claim(kept, order, "-", -1e9)
        except TransientError:
            return True

    def _order(self, kept: Record) -> Order | None:
        order = self._orders.read(kept.project, [kept.fid], kept.at - 300, up=True).get(kept.fid)
        if order is None or order.has_ended:
            self._records.cool(kept.request)
            return None
        return order

    def _claim(self, kept: Record, order: Order, name: str, seconds: float) -> bool:
        text = _CLAIM.format(root=ROOT, kept=kept.request, name=name, seconds=seconds)
        first = self._fleet.access("-", order)[0]
        return nodes.run(first, text, seconds=20.0)[1].strip() == name

    def _taken(self, request: str, kept: Record) -> Record:
        """The machine, and the key that is on it, are this task's from now on.

        Until its record says so the machine is listed as kept; whoever would end it then finds it claimed.
        """
        self._records.hold(kept.fid, request)
        kept, mine = self._records.get(kept.request), self._records.get(request)
        key = kept if kept.minting else mine
        found = self._records.change(
            request,
            fid=kept.fid,
            on=kept.request,
            volumes=kept.volumes,
            fits=kept.fits,
            key=key.key,
            minting=key.minting,
        )
        self._records.change(kept.request, key="", minting=False)
        self._records.cool(kept.request)
        return found
