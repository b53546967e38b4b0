"""What a task is at the platform: the volumes it mounts, the startup script, the body of its order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

import attrs

from flow_core import Submission, TaskConfig, UnavailableError, Volume
from flow_core.types import Problem, Start
from flow_mithril import _check, _script
from flow_mithril._account import Account
from flow_mithril._catalog import Catalog
from flow_mithril._orders import BID, CPU, RESERVATION
from flow_mithril._settings import MithrilOptions, MithrilSettings
from flow_mithril._warm import Wish

_SPARE = 300.0  # seconds that a kept machine must have beyond a task's time limit


@attrs.frozen
class Form:
    """An order to be placed: its kind, its body without ssh keys, and what its machines mount."""

    kind: str
    body: Mapping[str, object]
    mounted: Sequence[_script.Volume]
    fits: str
    """What must be the same where one task takes the machines of another."""

    def with_keys(self, keys: Sequence[str]) -> dict[str, object]:
        """Return the body with those ssh keys, by id."""
        if self.kind == CPU:
            return {**self.body, "ssh_keys": list(keys)}
        launch = self.body["launch_specification"]
        return {**self.body, "launch_specification": {**launch, "ssh_keys": list(keys)}}  # type: ignore[dict-item]


class Forms:
    """Fills in orders for tasks."""

    def __init__(self, settings: MithrilSettings, account: Account, catalog: Catalog) -> None:
        self._settings, self._account, self._catalog = settings, account, catalog

    def form(self, submission: Submission, volumes: Sequence[Volume]) -> Form:
        """Return the order of a submission; ``volumes`` are those there are. Raises UnavailableError."""
        config, options = submission.config, task_options(submission.config)
        places = _check.places(config, self._settings, self._catalog, volumes)
        if not places:
            raise UnavailableError(f"there is no {config.instance_type or 'machine'} that fits", "see: flow offers")
        place, mounts = places[0], mounted(config, volumes)
        body: dict[str, object] = {
            "name": submission.request_id,
            "project": self._account.project,
            "region": place.region,
            "instance_type": place.kind.fid,
        }
        fids = [volume.fid for volume in mounts]
        if not place.spot:
            fits = self._fits(config, CPU, place.kind.fid, place.region)
            return Form(CPU, {**body, "volumes": fids}, mounts, fits)
        start = self.start(submission, BID, mounts)
        fetched = _script.fetch(start, submission.request_id) if start else ""
        launch: dict[str, object] = {"volumes": fids, "startup_script": self.startup(mounts, fetched)}
        if options.image_version:
            launch["image_version"] = options.image_version
        body |= {"instance_quantity": config.num_instances, "launch_specification": launch}
        kind = RESERVATION if options.reservation_end else BID
        if options.reservation_end:
            body |= _span(options.reservation_end)
        else:
            body["limit_price"] = f"${_check.limit(config, self._settings, place):.2f}"
        return Form(kind, body, mounts, self._fits(config, kind, place.kind.fid, place.region))

    def preview(self, submission: Submission, volumes: Sequence[Volume]) -> dict[str, str]:
        """Return what would be sent, for a person."""
        form = self.form(submission, volumes)
        body = form.with_keys(["sshkey_..."])
        launch = dict(body.get("launch_specification", {}))  # type: ignore[call-overload]
        script = launch.pop("startup_script", None) or self.startup(form.mounted)
        shown = {**body, **({"launch_specification": launch} if launch else {})}
        return {f"{form.kind}.json": json.dumps(shown, indent=2), "startup.sh": script}

    def startup(self, volumes: Sequence[_script.Volume], fetched: str = "") -> str:
        """Return the startup script of a machine that mounts these."""
        keep = {"delivery_wait": self._settings.delivery_wait, "ends_at": "ENDS_AT"}
        return _script.script(self._settings.user, keep, volumes, self._settings.max_lifetime, fetched)

    def too_long(self, config: TaskConfig) -> list[Problem]:
        """Name a startup script that the platform would not take."""
        length = len(self.startup(mounted(config, [])))
        if length <= _script.LIMIT:
            return []
        said = f"the startup script would have {length} characters, {_script.LIMIT} are allowed"
        return [Problem("volumes", "SCRIPT_TOO_LARGE", said, "use fewer volumes")]

    def start(self, submission: Submission, kind: str, mounts: Sequence[_script.Volume]) -> Start | None:
        """Return the leave to fetch the task that the machine's startup script has room for."""
        start = submission.start
        if start is None or kind == CPU or submission.config.num_instances > 1:
            return None
        fits = len(self.startup(mounts, _script.fetch(start, submission.request_id))) <= _script.LIMIT
        return start if fits else None

    def wish(self, config: TaskConfig, volumes: Sequence[Volume]) -> Wish:
        """Return what this task would take of a kept machine; a reservation is for one task alone."""
        reserved = task_options(config).reservation_end
        places = [] if reserved else _check.places(config, self._settings, self._catalog, volumes)
        fits = {self._fits(config, BID if p.spot else CPU, p.kind.fid, p.region) for p in places}
        wanted = [attrs.asdict(volume) for volume in mounted(config, volumes)]
        most = config.max_price_per_hour or self._settings.max_price_per_hour
        return Wish(fits, wanted, most, (config.time_limit or 0.0) + _SPARE)

    def _fits(self, config: TaskConfig, kind: str, type_fid: str, region: str) -> str:
        image_version = task_options(config).image_version
        same = [self._account.project, kind, type_fid, region, config.num_instances, config.image, image_version]
        return json.dumps([*same, self._settings.user])


def task_options(config: TaskConfig) -> MithrilOptions:
    """Return what a task says in its ``mithril:`` section. Raises ConfigError."""
    from flow_core.settings import options

    return options(MithrilOptions, config.options.get("mithril", {}), "options.mithril")


def mounted(config: TaskConfig, known: Sequence[Volume]) -> list[_script.Volume]:
    """Return what a task's machines mount; ``known`` are the volumes there are."""
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


def completed(submission: Submission, mounts: Sequence[_script.Volume]) -> Submission:
    """Say in the task's document what stands where on the machine."""
    document = dict(submission.bundle.document)
    image = submission.config.image
    inside = [{"source": v.target, "target": v.target, "read_only": v.read_only} for v in mounts]
    document["mounts"] = inside if image else []
    if image:
        document["image"] = {"reference": image, "engine": "docker", "program": "/usr/bin/docker"}
    return attrs.evolve(submission, bundle=attrs.evolve(submission.bundle, document=document))


def _span(end: str) -> dict[str, object]:
    now = datetime.now(timezone.utc)
    return {"start_time": now.isoformat(), "end_time": _check.parse_time(end).isoformat()}
