"""The provider ``mithril``: tasks on spot machines, reservations and machines without GPUs."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

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
    nodes,
)
from flow_core.errors import ConfigError, ConflictError, FlowError, TransientError
from flow_core.hookspecs import AuthHooks, NodeHooks, ProvisionHooks, ResourceHooks, VolumeHooks
from flow_core.types import Start
from flow_mithril import _check, _script
from flow_mithril._api import Api
from flow_mithril._catalog import Catalog, Place
from flow_mithril._fleet import Fleet, all_at_once, in_time
from flow_mithril._keys import SshKey
from flow_mithril._orders import BID, CPU, NAME, RESERVATION, Order, Orders, kind_of
from flow_mithril._records import Record, Records
from flow_mithril._settings import MithrilOptions, MithrilSettings
from flow_mithril._status import Reports
from flow_mithril._volumes import Volumes
from flow_mithril._warm import KeptMachines, Wish

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
_MONTH = 30 * 86400.0
_SPARE = 300.0  # seconds that a kept machine must have beyond a task's time limit


class MithrilProvider(ProvisionHooks, NodeHooks, AuthHooks, VolumeHooks, ResourceHooks):
    """One request is one order, named by its request id; what runs on its machines is the runner's."""

    Settings = MithrilSettings
    Options = MithrilOptions

    def __init__(self, settings: MithrilSettings) -> None:
        self._settings = settings
        self._api = Api(settings.api_url, settings.api_key)
        self._catalog = Catalog(self._api)
        self._records = Records()
        self._ssh_key = SshKey(settings.ssh_key, self._records)
        self._orders = Orders(self._api)
        self._volumes = Volumes(self._api)
        self._fleet = Fleet(settings, self._api, self._records, self._ssh_key)
        self._warm = KeptMachines(self._fleet, self._records, self._orders)
        self._reports = Reports(self._fleet, self._records, settings.delivery_wait, self._late_script)
        self._seen: dict[str, tuple[float, Order]] = {}

    @cached_property
    def _project(self) -> str:
        """The project's id; a name is looked up, and without one the only project is taken."""
        wanted = self._settings.project
        if wanted and wanted.startswith("proj_"):
            return wanted
        found = self._api.get("projects")
        named = [row for row in found if wanted in (None, row["name"], row["fid"])]
        if len(named) != 1:
            names = ", ".join(sorted(row["name"] for row in found)) or "none"
            said = f"there is no project {wanted}" if wanted else f"there are {len(found)} projects"
            raise ConfigError(said, f"set project (MITHRIL_PROJECT) to one of: {names}")
        return str(named[0]["fid"])

    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        return attrs.evolve(_FACTS, settle_seconds=self._settings.settle)

    @hookimpl
    def flow_auth_check(self) -> Identity:
        me = self._api.get("me")
        name = next((row["name"] for row in self._api.get("projects") if row["fid"] == self._project), self._project)
        return Identity(user=me["email"], account=name, detail={"project": self._project, "id": me["fid"]})

    @hookimpl
    def flow_auth_fields(self) -> Sequence[AuthField]:
        return [AuthField("api_key", "Make one in the console: Settings, API keys (fkey_...)", env="MITHRIL_API_KEY")]

    @hookimpl
    def flow_provision_check(self, config: TaskConfig) -> Sequence[Problem]:
        options = self._options(config)
        found = list(_check.problems(config, options, self._settings, self._world(config)))
        if not any(problem.severity == "error" for problem in found):
            found += self._script_problems(config)
        return found

    def _options(self, config: TaskConfig) -> MithrilOptions:
        from flow_core.settings import options

        return options(MithrilOptions, config.options.get("mithril", {}), "options.mithril")

    def _world(self, config: TaskConfig) -> _check.World:
        """Everything is asked side by side; what the task does not need is not asked for."""
        wants_volumes = bool(config.volumes) or any(m.source.startswith("volume:") for m in config.mounts)
        shares = any(spec.create and spec.kind == "file" for spec in config.volumes)
        answers = all_at_once(
            [
                lambda: self._catalog.matching(_check.wanted(config, self._settings), config.resources, config.spot),
                lambda: self._volumes.all(self._project) if wants_volumes else [],
                lambda: self._api.get("quotas", project=self._project),
                lambda: self._api.get("cpu/regions") if shares else [],
            ]
        )
        _, volumes, quotas, regions = (list(answer) for answer in answers)  # type: ignore[call-overload]
        files = frozenset(row["name"] for row in regions if row["fileshare_storage_enabled"])
        kept = self._warm.fitting(self._wish(config, volumes)) if self._records.warm() else []
        return _check.World(self._catalog, volumes, quotas, files, frozenset(record.fid for record in kept))

    def _script_problems(self, config: TaskConfig) -> list[Problem]:
        length = len(self._startup(self._mounted(config, []), 0.0))
        if length <= _script.LIMIT:
            return []
        said = f"the startup script would have {length} characters, {_script.LIMIT} are allowed"
        return [Problem("volumes", "SCRIPT_TOO_LARGE", said, "use fewer volumes")]

    def _startup(self, volumes: Sequence[_script.Volume], lifetime: float, fetched: str = "") -> str:
        keep = {"delivery_wait": self._settings.delivery_wait, "ends_at": "ENDS_AT"}
        return _script.script(self._settings.user, keep, volumes, lifetime or self._settings.max_lifetime, fetched)

    def _late_script(self, record: Record, order: Order) -> str:  # noqa: ARG002 - the order says nothing more
        volumes = [_script.Volume(**entry) for entry in self._records.get(record.request).volumes]
        return self._startup(volumes, 0.0)

    def _mounted(self, config: TaskConfig, known: Sequence[Volume]) -> list[_script.Volume]:
        by_name = {volume.name: volume for volume in known}
        wanted = [(spec.name, spec.target, spec.read_only, spec.kind) for spec in config.volumes]
        wanted += [
            (m.source.removeprefix("volume:"), m.target, m.read_only, None)
            for m in config.mounts
            if m.source.startswith("volume:")
        ]
        found = []
        for name, target, read_only, kind in wanted:
            volume = by_name.get(name)
            block = (volume.kind if volume else kind or "block") == "block"
            found.append(_script.Volume(volume.id if volume else "", name, block, target, read_only))
        return found

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
        volumes = self._volumes.all(self._project) if submission.config.volumes or submission.config.mounts else []
        kind, body, _ = self._order(submission, ["sshkey_..."], volumes)
        launch = dict(body.get("launch_specification", {}))  # type: ignore[call-overload]
        script = launch.pop("startup_script", None) or self._startup(self._mounted(submission.config, volumes), 0.0)
        shown = {**body, **({"launch_specification": launch} if launch else {})}
        return {f"{kind}.json": json.dumps(shown, indent=2), "startup.sh": script}

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        request = submission.request_id
        self._records.sweep(self._settings.keep_logs)
        with self._records.alone(f"submit-{request}"):
            record = self._records.get(request)
            if not record.fid:
                record = self._place(submission, tried=bool(record.task))
            return TaskRef(record.ref)

    def _place(self, submission: Submission, tried: bool) -> Record:
        """Stage the task here, then order its machines; an order that may have been placed is looked for first."""
        request, config = submission.request_id, submission.config
        if tried and (record := self._records.get(request)).on and (taken := self._warm.found(record)):
            return taken
        if tried and (found := self._find(request, submission.deadline - 3600.0)):
            return self._records.change(request, fid=found[0].fid)
        keys, volumes = self._needed(config)
        kind, body, mounted = self._order(submission, keys, volumes)
        nodes.stage(self._records.outbox, self._completed(submission, mounted))
        self._records.change(
            request,
            task=submission.task_id,
            token=secrets.token_hex(16),
            name=str(submission.bundle.document["name"]),
            config=submission.bundle.document.get("config") or {},
            kind=kind,
            project=self._project,
            nodes=config.num_instances,
            keep=config.keep,
            volumes=[attrs.asdict(volume) for volume in mounted],
            fits=self._fits(config, kind, str(body["instance_type"]), str(body["region"])),
        )
        if taken := self._warm.take(request, self._wish(config, volumes)):
            return taken
        try:
            fid = self._orders.place(kind, body, request)
        except ConflictError:
            if not (found := self._find(request, submission.deadline - 3600.0)):
                self._forget(request)
                raise
            fid = found[0].fid
        except TransientError:
            raise
        except FlowError:
            self._forget(request)
            raise
        record = self._records.change(request, fid=fid)
        if (start := self._start(submission, kind, mounted)) is not None:
            with suppress(FlowError):  # then a client delivers it
                self._fleet.publish(record, self._completed(submission, mounted), start)
        return record

    def _start(self, submission: Submission, kind: str, mounted: Sequence[_script.Volume]) -> Start | None:
        """Return the leave that the machine's startup script has room for."""
        start = submission.start
        if start is None or kind == CPU or submission.config.num_instances > 1:
            return None
        fits = len(self._startup(mounted, 0.0, _script.fetch(start, submission.request_id))) <= _script.LIMIT
        return start if fits else None

    def _fits(self, config: TaskConfig, kind: str, type_fid: str, region: str) -> str:
        """What must be the same where one task takes the machines of another."""
        image_version = self._options(config).image_version
        same = [self._project, kind, type_fid, region, config.num_instances, config.image, image_version]
        return json.dumps([*same, self._settings.user])

    def _wish(self, config: TaskConfig, volumes: Sequence[Volume]) -> Wish:
        """Return what this task would take of a kept machine; a reservation is for one task alone."""
        reserved = self._options(config).reservation_end
        places = [] if reserved else _check.places(config, self._settings, self._catalog, volumes)
        fits = {self._fits(config, BID if p.spot else CPU, p.kind.fid, p.region) for p in places}
        mounted = [attrs.asdict(volume) for volume in self._mounted(config, volumes)]
        most = config.max_price_per_hour or self._settings.max_price_per_hour
        return Wish(fits, mounted, most, (config.time_limit or 0.0) + _SPARE)

    def _needed(self, config: TaskConfig) -> tuple[list[str], list[Volume]]:
        wants = bool(config.volumes or config.mounts)
        keys, volumes = all_at_once(
            [
                lambda: self._api.get("ssh-keys", project=self._project),
                lambda: self._volumes.all(self._project) if wants else [],
            ]
        )
        return self._ssh_key.ids(self._api, self._project, list(keys)), list(volumes)  # type: ignore[call-overload]

    def _forget(self, request: str) -> None:
        """Nothing was ordered: nothing of it stays here."""
        self._records.drop_staged(request)

    def _order(
        self, submission: Submission, keys: Sequence[str], volumes: Sequence[Volume]
    ) -> tuple[str, dict[str, object], list[_script.Volume]]:
        """Return the kind of the order, its body, and what its machines mount."""
        config, options = submission.config, self._options(submission.config)
        fits = _check.places(config, self._settings, self._catalog, volumes)
        if not fits:
            raise UnavailableError(f"there is no {config.instance_type or 'machine'} that fits", "see: flow offers")
        place, mounted = fits[0], self._mounted(config, volumes)
        common: dict[str, object] = {
            "name": submission.request_id,
            "project": self._project,
            "region": place.region,
            "instance_type": place.kind.fid,
        }
        fids = [volume.fid for volume in mounted]
        if not place.spot:
            return CPU, {**common, "volumes": fids, "ssh_keys": list(keys)}, mounted
        start = self._start(submission, BID, mounted)
        launch: dict[str, object] = {
            "volumes": fids,
            "ssh_keys": list(keys),
            "startup_script": self._startup(mounted, 0.0, _script.fetch(start, submission.request_id) if start else ""),
        }
        if options.image_version:
            launch["image_version"] = options.image_version
        body = {**common, "instance_quantity": config.num_instances, "launch_specification": launch}
        if options.reservation_end:
            return RESERVATION, {**body, **_span(options.reservation_end)}, mounted
        return BID, {**body, "limit_price": f"${_check.limit(config, self._settings, place):.2f}"}, mounted

    def _completed(self, submission: Submission, mounted: Sequence[_script.Volume]) -> Submission:
        """Say in the task's document what stands where on the machine."""
        document = dict(submission.bundle.document)
        image = submission.config.image
        inside = [{"source": v.target, "target": v.target, "read_only": v.read_only} for v in mounted]
        document["mounts"] = inside if image else []
        if image:
            document["image"] = {"reference": image, "engine": "docker", "program": "/usr/bin/docker"}
        return attrs.evolve(submission, bundle=attrs.evolve(submission.bundle, document=document))

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
        return [TaskRef(order.fid) for order in self._find(request, since)]

    def _find(self, request: str, since: float) -> list[Order]:
        record = self._records.get(request)
        kinds = [record.kind] if record.task else [BID, RESERVATION, CPU]
        return self._orders.named(self._project, request, kinds, since)

    @hookimpl
    def flow_provision_list(self, since: float) -> Sequence[TaskListing]:
        found, guests = [], [record for record in self._records.all() if record.on and record.at >= since]
        for order in self._orders.ours(self._project, since):
            found += [
                TaskListing(TaskRef(guest.ref), guest.request, guest.task, guest.name, guest.at, guest.config)
                for guest in guests
                if guest.fid == order.fid
            ]
            record = self._records.get(order.name)
            listed = TaskListing(TaskRef(order.fid), order.name, record.task or order.name, record.name, record.at)
            if not record.task:  # another machine's: it is known by its order alone
                listed = attrs.evolve(listed, name=order.name, created_at=order.created_at)
            found.append(attrs.evolve(listed, config=record.config))
        return found

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        records = {ref: self._records.of(ref.id) for ref in refs}
        asked = {ref.id for ref in refs}
        others = [one for one in self._records.waiting() if one.fid and one.ref not in asked][:_OTHERS]
        mine = [record for record in (*records.values(), *others) if record]
        since = min((record.at for record in mine), default=time.time()) - 300
        since = since if all(records.values()) else min(since, time.time() - _MONTH)
        orders = self._orders.read(self._project, [*map(_fid, refs), *(one.fid for one in others)], since)
        for fid, order in orders.items():
            self._seen[fid] = (time.monotonic(), order)
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
        at, order = self._seen.get(fid, (0.0, None))
        if order is not None and not fresh and time.monotonic() - at < _ORDER_SECONDS:
            return order
        kind_of(fid)
        since = (self._records.of(fid) or Record("", at=time.time() - _MONTH)).at - 300
        found = self._orders.read(self._project, [fid], since)
        if fid not in found:
            raise NotFoundError(f"there is no order {fid}", "see what there is with `flow status`")
        self._seen[fid] = (time.monotonic(), found[fid])
        return found[fid]

    @hookimpl
    def flow_provision_release(self, ref: TaskRef) -> bool:
        order = self._read(ref)
        record = self._records.of(ref.id) or self._adopted(ref, order)
        return self._records.holds(record) and self._end(record, order)

    def _end(self, record: Record, order: Order) -> bool:
        """End machines, whatever they do; those that are kept only when no task is just taking them."""
        if self._records.is_warm(record.request) and not self._warm.close(record, order):
            raise ConflictError(f"a task has just taken the machine {order.fid}", "cancel that task")
        self._records.cool(record.request)
        self._seen.pop(order.fid, None)
        return self._fleet.end(record, order)

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
        return self._fleet.access(record.request, order) if order.is_up and record.delivered else []

    def _nothing(self, record: Record) -> list[NodeAccess]:
        """A task that never began has an empty log, which is another thing than a lost one."""
        empty = self._records.kept(record.request)
        empty.mkdir(0o700, parents=True, exist_ok=True)
        return [NodeAccess(rank=rank, kind="folder", path=str(empty)) for rank in range(record.nodes)]

    @hookimpl
    def flow_resource_list(self) -> Sequence[Resource]:
        since = time.time() - _MONTH
        live = [order for order in self._orders.ours(self._project, since) if not order.has_ended]
        holders = [(order, self._records.holder(order.fid) or self._records.get(order.name)) for order in live]
        held = [
            Resource(order.fid, "machine", order.name, order.created_at, self._price(order), record.task or None)
            for order, record in holders
            if (self._records.kept(record.request) / "final.json").is_file() or not record.task
        ]
        names = {order.name for order in live}
        keys = [row for row in self._api.get("api-keys") if not row.get("deactivated_at")]
        left = [
            Resource(row["fid"], "key", row["name"])
            for row in keys
            if NAME.match(row["name"]) and row["name"].endswith("-release") and row["name"][:31] not in names
        ]
        return [*held, *left]

    def _price(self, order: Order) -> Any:
        return None if order.limit is None else order.limit * order.quantity

    @hookimpl
    def flow_resource_delete(self, id: str) -> bool:  # noqa: A002 - the contract's word
        if id.startswith("apikey_"):
            return self._api.delete(f"api-keys/{id}")
        try:
            order = self._read(TaskRef(id))
        except NotFoundError:
            return False
        return self._end(self._records.holder(id) or self._records.get(order.name), order)

    @hookimpl
    def flow_volume_create(self, spec: VolumeSpec, request_id: str) -> Volume:
        region = self._settings.region or self._volume_region(spec)
        world = _check.World(self._catalog, [], [], frozenset())
        if wrong := list(_check.new_volume("name", spec.name, spec.kind, spec.size_gb, region, world)):
            raise ConfigError(f"this volume cannot be made: {wrong[0].message}", wrong[0].hint, problems=wrong)
        with self._records.alone(f"volume-{spec.name}"):
            mine = {record.name: record.request for record in self._records.all() if record.kind == "volume"}
            made = self._volumes.create(self._project, spec, region, mine, request_id)
            self._records.change(request_id, kind="volume", name=spec.name, fid=made.id)
        return made

    def _volume_region(self, spec: VolumeSpec) -> str:
        """Where most of what is cheapest is: a volume is of one region, as are the machines that use it."""
        rows = self._api.get("cpu/regions")
        able = {
            r["name"]
            for r in rows
            if r["fileshare_storage_enabled" if spec.kind == "file" else "block_storage_enabled"]
        }
        places: list[Place] = [place for place in self._catalog.spot() if place.region in able]
        if not places and not able:
            raise UnavailableError("no region can hold this volume", "name one: region in the profile")
        return places[0].region if places else min(able)

    @hookimpl
    def flow_volume_list(self) -> Sequence[Volume]:
        return self._volumes.all(self._project)

    @hookimpl
    def flow_volume_delete(self, id: str) -> bool:  # noqa: A002 - the contract's word
        return self._volumes.delete(id)

    @hookimpl
    def flow_volume_attach(self, id: str, ref: TaskRef) -> Volume:  # noqa: A002 - the contract's word
        order = self._read(ref)
        if order.status != "Paused":
            raise ConflictError("a volume is attached while the machines are paused", "pause it in the console first")
        attached = [volume.id for volume in self._volumes.all(self._project) if order.fid in volume.attached_to]
        self._orders.set_volumes(order.fid, [*attached, id])
        return self._volumes.find(self._project, id)


def _fid(ref: TaskRef) -> str:
    """The order of a task; one on a kept machine has another task's."""
    return ref.id.partition("+")[0]


def _span(end: str) -> dict[str, object]:
    from datetime import datetime, timezone

    now = datetime.now(timezone.utc)
    return {"start_time": now.isoformat(), "end_time": _check.parse_time(end).isoformat()}
