"""The provider ``mithril``: tasks on spot machines, reservations and machines without GPUs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import attrs

from flow_core import (
    AuthField,
    Identity,
    NodeAccess,
    NotFoundError,
    Offer,
    OfferRequest,
    Problem,
    ProviderFacts,
    Resource,
    Submission,
    TaskConfig,
    TaskListing,
    TaskRef,
    TaskReport,
    UnavailableError,
    Volume,
    VolumeSpec,
    hookimpl,
)
from flow_core.errors import ConflictError, TransientError
from flow_core.hookspecs import AuthHooks, NodeHooks, ProvisionHooks, ResourceHooks, VolumeHooks
from flow_mithril import _check, _script
from flow_mithril._account import Account
from flow_mithril._api import Api
from flow_mithril._catalog import Catalog
from flow_mithril._fleet import Fleet
from flow_mithril._forms import Forms, task_options
from flow_mithril._held import MONTH, Held
from flow_mithril._keys import SshKey
from flow_mithril._orders import NAME, Order, Orders, kind_of
from flow_mithril._parallel import all_at_once, in_time
from flow_mithril._placing import Placing
from flow_mithril._records import Record, Records
from flow_mithril._settings import MithrilOptions, MithrilSettings
from flow_mithril._status import Reports
from flow_mithril._volumes import Volumes
from flow_mithril._warm import KeptMachines

_FACTS = ProviderFacts(
    spot=True,
    regions=True,
    images=True,
    multi_node=True,
    services=True,
    separate_streams=True,
    restarts_by_itself=True,
    attended=True,
    returns_machines=True,
    starts_from_store=True,
    max_nodes=256,
    min_poll_seconds=1.0,
)
_ORDER_SECONDS = 3.0  # an order that was read so long ago is read again
_LONGEST_LOOK = 22.0  # seconds; one machine that does not answer keeps nobody from the others
_OTHERS = 50  # tasks that any status call also sees delivered
_DELIVERY_PATIENCE = 3.0  # seconds; to a kept machine a task goes in a blink


class MithrilProvider(ProvisionHooks, NodeHooks, AuthHooks, VolumeHooks, ResourceHooks):
    """One request is one order, named by its request id; what runs on its machines is the runner's."""

    Settings = MithrilSettings
    Options = MithrilOptions

    def __init__(self, settings: MithrilSettings) -> None:
        self._settings = settings
        self._api = api = Api(settings.api_url, settings.api_key)
        self._account = account = Account(api, settings.project)
        self._catalog = Catalog(api)
        self._records = records = Records()
        self._orders = orders = Orders(api)
        self._volumes = Volumes(api, account, self._catalog, records)
        self._forms = Forms(settings, account, self._catalog)
        key = SshKey(settings.ssh_key, records)
        self._fleet = Fleet(settings, api, records, key)
        self._warm = KeptMachines(self._fleet, records, orders)
        self._reports = Reports(self._fleet, records, settings.delivery_wait, self._late_script)
        self._held = Held(account, api, records, orders, self._fleet, self._warm)
        self._placing = Placing(account, api, records, orders, self._volumes, self._fleet, self._warm, self._forms, key)

    @property
    def _project(self) -> str:
        return self._account.project

    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        return attrs.evolve(_FACTS, settle_seconds=self._settings.settle)

    @hookimpl
    def flow_auth_check(self) -> Identity:
        return self._account.identity()

    @hookimpl
    def flow_auth_fields(self) -> Sequence[AuthField]:
        return [AuthField("api_key", "Make one in the console: Settings, API keys (fkey_...)", env="MITHRIL_API_KEY")]

    @hookimpl
    def flow_provision_check(self, config: TaskConfig) -> Sequence[Problem]:
        found = list(_check.problems(config, task_options(config), self._settings, self._world(config)))
        if not any(problem.severity == "error" for problem in found):
            found += self._forms.too_long(config)
        return found

    def _world(self, config: TaskConfig) -> _check.World:
        """Everything is asked side by side; what the task does not need is not asked for."""
        wants_volumes = bool(config.volumes) or any(m.source.startswith("volume:") for m in config.mounts)
        shares = any(spec.create and spec.kind == "file" for spec in config.volumes)
        answers = all_at_once(
            [
                lambda: self._catalog.matching(_check.wanted(config, self._settings), config.resources, config.spot),
                lambda: self._volumes.all() if wants_volumes else [],
                lambda: self._api.get("quotas", project=self._project),
                lambda: self._api.get("cpu/regions") if shares else [],
            ]
        )
        _, volumes, quotas, regions = (list(answer) for answer in answers)  # type: ignore[call-overload]
        files = frozenset(row["name"] for row in regions if row["fileshare_storage_enabled"])
        kept = self._warm.fitting(self._forms.wish(config, volumes)) if self._records.warm() else []
        return _check.World(self._catalog, volumes, quotas, files, frozenset(record.fid for record in kept))

    def _late_script(self, record: Record) -> str:
        return self._forms.startup([_script.Volume(**entry) for entry in self._records.get(record.request).volumes])

    @hookimpl
    def flow_provision_offers(self, request: OfferRequest) -> Sequence[Offer]:
        if request.instance_type or request.resources.gpu or request.resources.gpu_count:
            found = self._catalog.matching(request.instance_type, request.resources, request.spot)
        else:
            found = [place for place in self._catalog.all() if place.kind.fits(None, request.resources)]
        region = request.region or self._settings.region
        fits = [p for p in found if region in (None, p.region) and request.spot in (None, p.spot)]
        return [place.offer() for place in fits]

    @hookimpl
    def flow_provision_preview(self, submission: Submission) -> Mapping[str, str]:
        volumes = self._volumes.all() if submission.config.volumes or submission.config.mounts else []
        return self._forms.preview(submission, volumes)

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        self._records.sweep(self._settings.keep_logs)
        return TaskRef(self._placing.submit(submission).ref)

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]:
        found = {request: self._refs(request, since) for request in request_ids if NAME.fullmatch(request)}
        for request, refs in found.items():
            if refs and not self._records.get(request).fid:
                self._records.change(request, fid=refs[0].id, on="")
        self._records.sweep(self._settings.keep_logs)
        return {request: refs for request, refs in found.items() if refs}

    def _refs(self, request: str, since: float) -> list[TaskRef]:
        record = self._records.get(request)
        if record.on and (taken := self._warm.found(record)):
            return [TaskRef(taken.ref)]
        return [TaskRef(order.fid) for order in self._placing.find(request, since)]

    @hookimpl
    def flow_provision_list(self, since: float) -> Sequence[TaskListing]:
        return self._held.tasks(since)

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        records = {ref: self._records.of(ref.id) for ref in refs}
        asked = {ref.id for ref in refs}
        others = [one for one in self._records.waiting() if one.fid and one.ref not in asked][:_OTHERS]
        mine = [record for record in (*records.values(), *others) if record]
        since = min((record.at for record in mine), default=time.time()) - 300
        since = since if all(records.values()) else min(since, time.time() - MONTH)
        orders = self._orders.read(self._project, [*map(_fid, refs), *(one.fid for one in others)], since)
        for record in others:
            if record.fid in orders:
                self._reports.begin(record, orders[record.fid])
        known = [(ref, records[ref] or self._adopted(ref, orders[_fid(ref)])) for ref in refs if _fid(ref) in orders]
        reports = in_time({ref: self._reporting(record, orders[_fid(ref)]) for ref, record in known}, _LONGEST_LOOK)
        return {ref: reports.get(ref) or self._reports.silent(record) for ref, record in known}

    def _reporting(self, record: Record, order: Order) -> Callable[[], TaskReport]:
        return lambda: self._reports.of(record, order)

    def _adopted(self, ref: TaskRef, order: Order) -> Record:
        """An order that another client of the account placed: its machine may have been given its task there."""
        guest = ref.id.partition("+")[2]
        return Record(
            guest or order.name,
            on=order.name if guest else "",
            fid=order.fid,
            kind=order.kind,
            nodes=order.quantity,
            at=order.created_at,
            delivered=True,
        )

    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        order = self._read(ref)
        record = self._records.of(ref.id) or self._adopted(ref, order)
        if order.has_ended or (self._records.kept(record.request) / "final.json").is_file():
            return False
        if not order.is_up or not (record.delivered or record.start) or order.status == "Paused":
            self._records.change(record.request, cancelled=True)
            return self._fleet.end(record, order)
        try:
            going = self._fleet.cancel(record.request, order, grace_seconds)
        except (TransientError, NotFoundError):
            going = self._fleet.end(record, order)  # it cannot be asked: its machine goes
        if going:
            self._records.change(record.request, cancelled=True, fid=order.fid, on=record.on)
        return going

    def _read(self, ref: TaskRef, fresh: bool = True) -> Order:
        fid = _fid(ref)
        kind_of(fid)
        if not fresh and (seen := self._orders.seen(fid, _ORDER_SECONDS)):
            return seen
        since = (self._records.of(fid) or Record("", at=time.time() - MONTH)).at - 300
        found = self._orders.read(self._project, [fid], since)
        if fid not in found:
            raise NotFoundError(f"there is no order {fid}", "see what there is with `flow status`")
        return found[fid]

    @hookimpl
    def flow_provision_release(self, ref: TaskRef) -> bool:
        order = self._read(ref)
        record = self._records.of(ref.id) or self._adopted(ref, order)
        return self._records.holds(record) and self._held.end(record, order)

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        record = self._records.of(ref.id)
        if record is not None and (self._records.kept(record.request) / "final.json").is_file():
            kept = str(self._records.kept(record.request))
            return [NodeAccess(rank=rank, kind="folder", path=kept) for rank in range(record.nodes)]
        order = self._read(ref, fresh=False)
        if order.has_ended and record is not None and not (record.delivered or record.start):
            return self._nothing(record)
        if order.has_ended:
            raise UnavailableError("its machine is gone, and nothing of it was kept", "keep it with a result store")
        record = record or self._adopted(ref, order)
        if order.is_up and record.on and self._records.is_waiting(record.request):
            self._fleet.delivering(record, order, str, _DELIVERY_PATIENCE)
            record = self._records.get(record.request)
        return self._fleet.access(record.request, order) if order.is_up and record.delivered else []

    def _nothing(self, record: Record) -> list[NodeAccess]:
        """A task that never began has an empty log, which is another thing than a lost one."""
        empty = self._records.kept(record.request)
        empty.mkdir(0o700, parents=True, exist_ok=True)
        return [NodeAccess(rank=rank, kind="folder", path=str(empty)) for rank in range(record.nodes)]

    @hookimpl
    def flow_resource_list(self) -> Sequence[Resource]:
        return self._held.all()

    @hookimpl
    def flow_resource_delete(self, id: str) -> bool:  # noqa: A002 - the contract's word
        if id.startswith("apikey_"):
            return self._api.delete(f"api-keys/{id}")
        try:
            order = self._read(TaskRef(id))
        except NotFoundError:
            return False
        return self._held.end(self._held.holder(order), order)

    @hookimpl
    def flow_volume_create(self, spec: VolumeSpec, request_id: str) -> Volume:
        return self._volumes.create(spec, self._settings.region, request_id)

    @hookimpl
    def flow_volume_list(self) -> Sequence[Volume]:
        return self._volumes.all()

    @hookimpl
    def flow_volume_delete(self, id: str) -> bool:  # noqa: A002 - the contract's word
        return self._volumes.delete(id)

    @hookimpl
    def flow_volume_attach(self, id: str, ref: TaskRef) -> Volume:  # noqa: A002 - the contract's word
        order = self._read(ref)
        if order.status != "Paused":
            raise ConflictError("a volume is attached while the machines are paused", "pause it in the console first")
        attached = [volume.id for volume in self._volumes.all() if order.fid in volume.attached_to]
        self._orders.set_volumes(order.fid, [*attached, id])
        return self._volumes.find(id)


def _fid(ref: TaskRef) -> str:
    """The order of a task; one on a kept machine has another task's."""
    return ref.id.partition("+")[0]
