"""Submitting: a task is staged here, then given a kept machine, or an order of its own that is placed once."""

from __future__ import annotations

import secrets
from contextlib import suppress

import attrs

from flow_core import Submission, Volume, nodes
from flow_core.errors import ConflictError, FlowError, TransientError
from flow_mithril._account import Account
from flow_mithril._api import Api
from flow_mithril._fleet import Fleet
from flow_mithril._forms import Form, Forms, completed
from flow_mithril._keys import SshKey
from flow_mithril._orders import BID, CPU, RESERVATION, Order, Orders
from flow_mithril._parallel import both
from flow_mithril._records import Record, Records
from flow_mithril._volumes import Volumes
from flow_mithril._warm import KeptMachines


@attrs.frozen
class Placing:
    """Gives submissions their machines."""

    account: Account
    api: Api
    records: Records
    orders: Orders
    volumes: Volumes
    fleet: Fleet
    warm: KeptMachines
    forms: Forms
    key: SshKey

    def submit(self, submission: Submission) -> Record:
        """Return the record of a request; a second call, also at once, changes nothing."""
        request = submission.request_id
        with self.records.alone(f"submit-{request}"):
            record = self.records.get(request)
            return record if record.fid else self._place(submission, tried=bool(record.task))

    def find(self, request: str, since: float) -> list[Order]:
        """Return all orders of a request, oldest first."""
        record = self.records.get(request)
        kinds = [record.kind] if record.task else [BID, RESERVATION, CPU]
        return self.orders.named(self.account.project, request, kinds, since)

    def _place(self, submission: Submission, tried: bool) -> Record:
        """Stage the task here, then order its machines; an order that may have been placed is looked for first."""
        request, config = submission.request_id, submission.config
        if tried and (record := self.records.get(request)).on and (taken := self.warm.found(record)):
            return taken
        if tried and (found := self.find(request, submission.deadline - 3600.0)):
            return self.records.change(request, fid=found[0].fid)
        keys, volumes = self._needed(submission)
        form = self.forms.form(submission, volumes)
        self._stage(submission, form)
        if taken := self.warm.take(request, self.forms.wish(config, volumes)):
            return taken
        body = form.with_keys(self.key.ids(self.api, self.account.project, self._keys() if keys is None else keys))
        record = self.records.change(request, fid=self._order(submission, form, body))
        if (start := self.forms.start(submission, form.kind, form.mounted)) is not None:
            with suppress(FlowError):  # then a client delivers it
                self.fleet.publish(record, completed(submission, form.mounted), start)
        return record

    def _needed(self, submission: Submission) -> tuple[list[dict[str, str]] | None, list[Volume]]:
        """Return the project's ssh keys and volumes; the keys only when no kept machine may do without them."""
        wants = bool(submission.config.volumes or submission.config.mounts)
        if self.records.warm():
            return None, self.volumes.all() if wants else []
        return both(self._keys, lambda: self.volumes.all() if wants else [])

    def _keys(self) -> list[dict[str, str]]:
        return list(self.api.get("ssh-keys", project=self.account.project))

    def _stage(self, submission: Submission, form: Form) -> None:
        nodes.stage(self.records.outbox, completed(submission, form.mounted))
        self.records.change(
            submission.request_id,
            task=submission.task_id,
            token=secrets.token_hex(16),
            name=str(submission.bundle.document["name"]),
            config=submission.bundle.document.get("config") or {},
            kind=form.kind,
            project=self.account.project,
            nodes=submission.config.num_instances,
            keep=submission.config.keep,
            volumes=[attrs.asdict(volume) for volume in form.mounted],
            fits=form.fits,
        )

    def _order(self, submission: Submission, form: Form, body: dict[str, object]) -> str:
        """Place the order and return its id; what was refused leaves nothing here."""
        request = submission.request_id
        try:
            return self.orders.place(form.kind, body, request)
        except ConflictError:
            if found := self.find(request, submission.deadline - 3600.0):
                return found[0].fid
            self.records.drop_staged(request)
            raise
        except TransientError:
            raise
        except FlowError:
            self.records.drop_staged(request)
            raise
