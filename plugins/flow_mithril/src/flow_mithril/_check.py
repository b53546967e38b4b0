"""Everything that would keep a task from running here, named before anything is bought."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import attrs

from flow_core.types import Problem, TaskConfig, Volume
from flow_mithril._catalog import Catalog, Place, is_cpu
from flow_mithril._settings import MithrilOptions, MithrilSettings

_VOLUME_NAME = re.compile(r"[a-z]([-a-z0-9]{0,62}[a-z0-9])?")
_MOST_VOLUMES = 20
_LARGEST_GB = 32_000
_SHORTEST, _LONGEST = 3 * 3600, 14 * 86400  # seconds, of a reservation


@attrs.frozen
class World:
    """What the platform says that a check needs."""

    catalog: Catalog
    volumes: Sequence[Volume]
    quotas: Sequence[Mapping[str, Any]]
    file_regions: frozenset[str]
    kept: frozenset[str] = frozenset()
    """Orders whose machines this task may take."""


def places(config: TaskConfig, settings: MithrilSettings, catalog: Catalog, volumes: Sequence[Volume]) -> list[Place]:
    """Return where this task could run, cheapest first: of its type, in its region, beside its volumes."""
    found = catalog.matching(wanted(config, settings), config.resources, config.spot)
    region = config.region or settings.region
    where = {volume.region for volume in _used(config, volumes)}
    fits = [place for place in found if region in (None, place.region) and (not where or where == {place.region})]
    # What has room now goes before what is cheaper and full.
    return sorted(fits, key=lambda place: place.capacity is not None and place.capacity < config.num_instances)


def wanted(config: TaskConfig, settings: MithrilSettings) -> str | None:
    """Return the type that is asked for: the task's, else the profile's where the task claims nothing itself."""
    claims = config.resources
    asked = claims.gpu or claims.gpu_count or claims.gpu_memory
    return config.instance_type or (None if asked else settings.instance_type)


def limit(config: TaskConfig, settings: MithrilSettings, place: Place) -> Decimal:
    """Return the limit of a bid, USD per machine and hour: the task's, the profile's, else twice the price of now."""
    given = config.max_price_per_hour or settings.max_price_per_hour
    return given or max(2 * (place.price or Decimal(0)), Decimal("0.01"))


def problems(config: TaskConfig, options: MithrilOptions, settings: MithrilSettings, world: World) -> Iterator[Problem]:
    """Yield what is wrong with ``config`` here."""
    yield from _kind(config, options, settings, world)
    yield from _reservation(config, options)
    yield from _mounts(config)
    yield from _keep(config, options, settings, world)
    if config.priority:
        text = "bids have no priority: who offers more is served first"
        yield Problem("priority", "IGNORED", text, "raise max_price_per_hour", severity="warning")
    yield from _volumes(config, world)


def _keep(config: TaskConfig, options: MithrilOptions, settings: MithrilSettings, world: World) -> Iterator[Problem]:
    if not config.keep:
        return
    if options.reservation_end:
        yield Problem("keep", "RESERVED", "a reservation is for one task", "leave out keep")
    if settings.self_release != "key":
        text = "a machine that is kept can end by itself only with a key of its own"
        yield Problem("keep", "NO_KEY", text, "set self_release: key, or leave out keep")
    for place in places(config, settings, world.catalog, world.volumes)[:1]:
        price = (limit(config, settings, place) if place.spot else place.price or 0) * config.num_instances
        text = f"after its end the machines are kept for {config.keep:.0f} s, at up to {price} USD per hour"
        yield Problem("keep", "PRICE", text, "flow machines release gives them back before", severity="warning")


def _kind(config: TaskConfig, options: MithrilOptions, settings: MithrilSettings, world: World) -> Iterator[Problem]:
    found = world.catalog.matching(wanted(config, settings), config.resources, config.spot)
    asked = wanted(config, settings) or config.resources.gpu or "a machine without GPUs"
    if not found:
        if config.spot and is_cpu(wanted(config, settings), config.resources):
            yield Problem("spot", "NO_SPOT", "machines without GPUs are not sold as spot", "leave out --spot")
            return
        there = ", ".join(world.catalog.words()) or "nothing"
        yield Problem("instance_type", "NO_SUCH_MACHINE", f"there is no {asked} that fits", f"there is: {there}")
        return
    region = config.region or settings.region
    regions = sorted({place.region for place in found})
    if region and region not in regions:
        yield Problem("region", "NO_SUCH_REGION", f"there is no {asked} in {region}", f"it is in: {', '.join(regions)}")
        return
    fits = places(config, settings, world.catalog, world.volumes)
    if not fits:
        where = ", ".join(sorted({volume.region or "?" for volume in _used(config, world.volumes)}))
        yield Problem("volumes", "OTHER_REGION", f"there is no {asked} where the volumes are ({where})")
        return
    yield from _market(config, settings, fits[0])
    if not world.kept:
        yield from _quota(config, options, world, fits[0])


def _market(config: TaskConfig, settings: MithrilSettings, place: Place) -> Iterator[Problem]:
    if not place.spot:
        if config.num_instances > 1:
            yield Problem("num_instances", "ONE_MACHINE", "machines without GPUs are sold one by one")
        return
    if config.spot is False:
        yield Problem(
            "spot",
            "SPOT_ONLY",
            f"{place.kind.word} is sold as spot or by reservation",
            "reserve it: -o mithril.reservation_end=TIME",
        )
    most = limit(config, settings, place)
    if place.price is not None and most < place.price:
        yield Problem(
            "max_price_per_hour",
            "PRICE",
            f"{place.kind.word} costs {place.price} USD per machine and hour now, the limit is {most}",
            f"bid {place.price} or more; the bid would wait",
        )
    if place.capacity is not None and place.capacity < config.num_instances:
        yield Problem(
            "num_instances",
            "NO_CAPACITY",
            f"{place.capacity} x {place.kind.word} is free in {place.region} now, {config.num_instances} are wanted",
            "the bid waits until there are more",
            severity="warning",
        )


def _storage(config: TaskConfig, world: World) -> Iterator[Problem]:
    """Name volumes that are to be made and have no room in the project's quota (units: GB)."""
    there = {volume.name for volume in world.volumes}
    wanted = sum(spec.size_gb or 0 for spec in config.volumes if spec.create and spec.name not in there)
    if text := no_room(wanted, world.quotas):
        yield Problem("volumes", "QUOTA", text, "ask for more in the console, or delete volumes")


def no_room(wanted: int, quotas: Sequence[Mapping[str, Any]]) -> str:
    """Return why new volumes of so many GB have no room in the project's quota; empty when they have."""
    for row in quotas if wanted else ():
        left = int(row["total_quantity"]) - int(row["used_quantity"])
        if row["product_type"] == "Storage" and wanted > left:
            return f"the quota leaves {left} of {row['total_quantity']} GB, new volumes of {wanted} GB are wanted"
    return ""


def _quota(config: TaskConfig, options: MithrilOptions, world: World, place: Place) -> Iterator[Problem]:
    """Name what the project may not have: machines at once of the spot market, hours of reserved ones."""
    product, wanted, what = "Spot", float(config.num_instances), place.kind.word
    if options.reservation_end:
        product, what = "Reservations", f"hours of {place.kind.word}"
        wanted *= (_span(options.reservation_end) or 0.0) / 3600
    for row in world.quotas:
        if row["product_type"] != product or row.get("instance_type") != place.kind.fid or not place.spot:
            continue
        left = int(row["total_quantity"]) - int(row["used_quantity"])
        if wanted > left:
            text = f"the quota leaves {left} of {row['total_quantity']} x {what}, {wanted:.0f} are wanted"
            yield Problem("num_instances", "QUOTA", text, "ask for more in the console")


def _reservation(config: TaskConfig, options: MithrilOptions) -> Iterator[Problem]:
    if options.reservation_end is None:
        return
    path = "options.mithril.reservation_end"
    if config.spot:
        yield Problem("spot", "NOT_SPOT", "a reservation is not preemptible", "leave out --spot")
    span = _span(options.reservation_end)
    if span is None:
        yield Problem(path, "BAD_TIME", f"{options.reservation_end!r} is no time", "write 2027-01-31T12:00:00Z")
    elif not _SHORTEST <= span <= _LONGEST:
        yield Problem(path, "BAD_SPAN", "a reservation lasts from 3 hours to 14 days")


def _span(end: str) -> float | None:
    """Return the seconds from now until a reservation ends; None for what is no time."""
    try:
        return (parse_time(end) - datetime.now(timezone.utc)).total_seconds()
    except ValueError:
        return None


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time; without a zone it is UTC. Raises ValueError."""
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _mounts(config: TaskConfig) -> Iterator[Problem]:
    for number, mount in enumerate(config.mounts):
        if not mount.source.startswith("volume:"):
            yield Problem(
                f"mounts[{number}]",
                "NOT_THERE",
                f"{mount.source} is not on the machine",
                "use a volume, or what is in the code folder",
            )


def _used(config: TaskConfig, volumes: Sequence[Volume]) -> list[Volume]:
    names = {spec.name for spec in config.volumes} | {m.source.removeprefix("volume:") for m in config.mounts}
    return [volume for volume in volumes if volume.name in names]


def _volumes(config: TaskConfig, world: World) -> Iterator[Problem]:
    there = {volume.name: volume for volume in world.volumes}
    yield from _storage(config, world)
    if len(config.volumes) > _MOST_VOLUMES:
        yield Problem("volumes", "TOO_MANY", f"a machine has at most {_MOST_VOLUMES} volumes")
    named = [(f"volumes[{n}]", spec.name, spec.kind) for n, spec in enumerate(config.volumes)]
    named += [
        (f"mounts[{n}]", mount.source.removeprefix("volume:"), None)
        for n, mount in enumerate(config.mounts)
        if mount.source.startswith("volume:")
    ]
    created = {spec.name for spec in config.volumes if spec.create}
    for path, name, kind in named:
        found = there.get(name)
        if found is None and name not in created:
            yield Problem(path, "NO_VOLUME", f"there is no volume {name}", "create it: flow volume create")
        elif found is not None and found.kind == "block" and config.num_instances > 1:
            yield Problem(path, "ONE_MACHINE", f"{name} is a block volume: one machine only", "use kind: file")
        elif found is not None and found.kind == "block" and set(found.attached_to) - world.kept:
            yield Problem(path, "IN_USE", f"{name} is attached to {found.attached_to[0]}", "wait until that has ended")
        elif found is not None and kind and kind != found.kind:
            yield Problem(path, "OTHER_KIND", f"{name} is a {found.kind} volume, not {kind}")
    for number, spec in enumerate(config.volumes):
        if spec.create and spec.name not in there:
            yield from new_volume(f"volumes[{number}]", spec.name, spec.kind, spec.size_gb, config.region, world)
        if spec.encrypted:
            yield Problem(f"volumes[{number}].encrypted", "CAPABILITY", "volumes here are not encrypted by Flow")


def new_volume(
    path: str, name: str, kind: str | None, size: int | None, region: str | None, world: World
) -> Iterator[Problem]:
    """Yield what is wrong with a volume that is to be made."""
    if not _VOLUME_NAME.fullmatch(name):
        yield Problem(path, "BAD_NAME", f"{name!r} is no volume's name", "a-z, 0-9 and -, first a letter, at most 64")
    if kind not in (None, "block", "file"):
        yield Problem(f"{path}.kind", "BAD_KIND", f"there are block and file volumes, no {kind}")
    if size is None or not 1 <= size <= _LARGEST_GB:
        yield Problem(f"{path}.size_gb", "BAD_SIZE", f"a volume has 1 to {_LARGEST_GB} GB", "say how large it is")
    if kind == "file" and region and world.file_regions and region not in world.file_regions:
        there = ", ".join(sorted(world.file_regions))
        yield Problem(f"{path}.kind", "NO_SHARES", f"{region} has no file shares", f"they are in: {there}")
