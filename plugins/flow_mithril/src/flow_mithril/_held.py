"""What the project holds: orders and their tasks, kept machines, machines that nobody accounts for, minted keys."""

from __future__ import annotations

import time
from decimal import Decimal

import attrs

from flow_core.errors import ConflictError
from flow_core.types import Resource, TaskListing, TaskRef
from flow_mithril._account import Account
from flow_mithril._api import Api
from flow_mithril._fleet import KEY_NAME, Fleet
from flow_mithril._orders import Order, Orders
from flow_mithril._records import Record, Records
from flow_mithril._warm import KeptMachines

MONTH = 30 * 86400.0  # seconds; older orders are not looked for


@attrs.frozen
class Held:
    """Lists it and gives it back."""

    account: Account
    api: Api
    records: Records
    orders: Orders
    fleet: Fleet
    warm: KeptMachines

    def all(self) -> list[Resource]:
        """Return the machines of ended tasks and of no task, and the keys whose machines are gone."""
        ours = self.orders.ours(self.account.project, time.time() - MONTH)
        live = [order for order in ours if not order.has_ended]
        machines = [self._machine(order, self.holder(order)) for order in live if self._is_held(self.holder(order))]
        names = {order.name for order in live}
        rows = [row for row in self.api.get("api-keys") if not row.get("deactivated_at")]
        found = [(row["fid"], row["name"], KEY_NAME.fullmatch(row["name"])) for row in rows]
        return [*machines, *(Resource(fid, "key", name) for fid, name, ours in found if ours and ours[1] not in names)]

    def tasks(self, since: float) -> list[TaskListing]:
        """Return the tasks of all orders after ``since`` (UTC seconds), those on kept machines too."""
        found, guests = [], [record for record in self.records.all() if record.on and record.at >= since]
        for order in self.orders.ours(self.account.project, since):
            found += [
                TaskListing(TaskRef(guest.ref), guest.request, guest.task, guest.name, guest.at, guest.config)
                for guest in guests
                if guest.fid == order.fid
            ]
            record = self.records.get(order.name)
            listed = TaskListing(TaskRef(order.fid), order.name, record.task or order.name, record.name, record.at)
            if not record.task:  # another machine's: it is known by its order alone
                listed = attrs.evolve(listed, name=order.name, created_at=order.created_at)
            found.append(attrs.evolve(listed, config=record.config))
        return found

    def holder(self, order: Order) -> Record:
        """Return the record of the task that has an order's machines."""
        return self.records.holder(order.fid) or self.records.get(order.name)

    def end(self, record: Record, order: Order) -> bool:
        """End machines, whatever they do; those that are kept only when no task is just taking them."""
        if self.records.is_warm(record.request) and not self.warm.close(record, order):
            raise ConflictError(f"a task has just taken the machine {order.fid}", "cancel that task")
        self.records.cool(record.request)
        self.orders.forget(order.fid)
        return self.fleet.end(record, order)

    def _is_held(self, record: Record) -> bool:
        return not record.task or (self.records.kept(record.request) / "final.json").is_file()

    def _machine(self, order: Order, record: Record) -> Resource:
        price: Decimal | None = None if order.limit is None else order.limit * order.quantity
        return Resource(order.fid, "machine", order.name, order.created_at, price, record.task or None)
