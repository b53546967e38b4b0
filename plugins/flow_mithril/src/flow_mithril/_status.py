"""What an order and its machines say of a task, as one report."""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs

from flow_core import Attempt, TaskReport, nodes
from flow_core.errors import AuthError, FlowError, TransientError, UnavailableError
from flow_mithril._fleet import Fleet, waited
from flow_mithril._orders import Order
from flow_mithril._records import Record, Records

_PATIENCE = 12.0  # seconds that one look waits for a delivery


class Reports:
    """Judges orders; ``script`` makes the startup script of a record for machines that took none."""

    def __init__(self, fleet: Fleet, records: Records, delivery_wait: float, script: Callable[[Record], str]) -> None:
        self._fleet, self._records, self._script = fleet, records, script
        self._delivery_wait = delivery_wait

    def of(self, record: Record, order: Order) -> TaskReport:
        """Return the report of a task whose order the platform knows."""
        report = self._of(record, order)
        waits = not report.is_final and not record.start and self._records.is_waiting(record.request)
        return attrs.evolve(report, needs_client=waits)

    def silent(self, record: Record) -> TaskReport:
        """Return the report of a task whose machine does not answer in time."""
        return self._going(record, "its machine does not answer in time")

    def begin(self, record: Record, order: Order) -> None:
        """Have a task delivered whose machines are up, without waiting for it."""
        if order.is_up and not record.delivered and not record.fault:
            self._fleet.delivering(record, order, lambda: self._script(record), 0.0)

    def _of(self, record: Record, order: Order) -> TaskReport:
        kept = self._records.kept(record.request)
        if (kept / "final.json").is_file():
            return self._taken(record, order)
        if record.fault:
            return _said("failed", record.fault)
        if order.has_ended:
            return self._ended(record, order)
        if order.status == "Paused":
            return self._going(record, "its machine is paused, its disk stays: flow mithril resume starts it again")
        if not order.is_up:
            return self._coming(record, order)
        if not record.delivered:
            return self._delivering(record, order)
        return self._running(record, order)

    def _taken(self, record: Record, order: Order) -> TaskReport:
        report = nodes.report(self._records.kept(record.request))
        if order.has_ended or not self._records.holds(record):
            return report
        if self._records.is_warm(record.request):
            return attrs.evolve(report, machine_held=True)
        try:  # killed between the two
            return self._fleet.let_go(record, order, report)
        except TransientError:
            return attrs.evolve(report, machine_held=True)

    def _ended(self, record: Record, order: Order) -> TaskReport:
        self._fleet.end(record, order)
        if record.cancelled or not (record.delivered or record.start):
            reason = "cancelled" if record.cancelled else f"its {order.kind} was ended at the platform before it ran"
            return _said("cancelled", reason)
        return _said("lost", "its machine was released, and nobody had fetched its end", record)

    def _coming(self, record: Record, order: Order) -> TaskReport:
        if order.status == "Open":
            price = f" (limit {order.limit} USD per machine and hour)" if order.limit is not None else ""
            return _said("pending", f"waits for capacity in {order.region}{price}", record)
        broken = [machine.name for machine in order.machines if machine.status == "STATUS_ERROR"]
        if broken and not record.ran:
            return self._fail(record, order, f"the platform could not start {', '.join(broken)}")
        up = sum(machine.is_up for machine in order.machines)
        return _said("provisioning", f"{up} of {order.quantity} machines are up", record)

    def _delivering(self, record: Record, order: Order) -> TaskReport:
        if not self._records.is_waiting(record.request):
            return _said("provisioning", "waits for the client that submitted it to deliver code and secrets")
        if not record.up_at:
            record = self._records.change(record.request, up_at=time.time())
        trouble = self._fleet.delivering(record, order, lambda: self._script(record), _PATIENCE)
        if trouble is None:
            return self._running(self._records.get(record.request), order)
        if isinstance(trouble, UnavailableError):
            return self._fail(record, order, trouble.message)
        if waited(record.up_at, self._delivery_wait + 120):
            return self._fail(record, order, f"its machine could not be given the task: {trouble.message}")
        reason = f"the machine is up: {trouble.message}"
        return _said("provisioning", reason)

    def _fail(self, record: Record, order: Order, why: str) -> TaskReport:
        record = self._records.change(record.request, fault=why)
        self._fleet.end(record, order)
        return _said("failed", why)

    def _running(self, record: Record, order: Order) -> TaskReport:
        try:
            report = self._fleet.report(record.request, order)
        except (TransientError, AuthError) as error:  # another host key, say: the other tasks are told of all the same
            return self._going(record, f"its machine cannot be reached: {error.message}")
        if report is None:
            return self._going(record, "its machine has no folder of it")
        if report.is_final:
            return self._take(record, order, report)
        last = report.attempts[-1].number if report.attempts else 0
        if report.attempts and (not record.ran or record.attempt != last):
            self._records.change(record.request, ran=True, attempt=last)
        if order.status == "Preempting":
            reason = "the platform takes the machine back within minutes; it goes on when there is one again"
            return attrs.evolve(report, reason=reason)
        return report

    def _take(self, record: Record, order: Order, report: TaskReport) -> TaskReport:
        self._records.change(record.request, ran=True)
        try:
            return self._fleet.take(record, order)
        except FlowError as error:
            state = "running" if report.attempts else "provisioning"
            return attrs.evolve(report, state=state, reason=f"it has ended ({error.message})")

    def _going(self, record: Record, reason: str) -> TaskReport:
        return _said("running" if record.ran else "provisioning", reason)


def _said(state: str, reason: str, record: Record | None = None) -> TaskReport:
    """What the platform alone says; an attempt that ran before is one that it ended."""
    attempts: tuple[Attempt, ...] = ()
    if record is not None and record.ran and record.attempt:
        ended = "lost" if state == "lost" else "preempted"
        why = reason if state == "lost" else "the platform took the machine back"
        attempts = (Attempt(record.attempt, ended, reason=why),)
    return TaskReport(state, reason, attempts, source="provider", observed_at=time.time())
