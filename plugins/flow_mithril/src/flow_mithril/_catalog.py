"""What the platform rents: instance types by the users' words, where they are and what they cost now."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import attrs

from flow_core.types import Offer, Resources, parse_instance_type
from flow_mithril._api import Api

GB = 10**9
_FRESH = 60.0  # seconds


def dollars(text: str | None) -> Decimal | None:
    """Read ``"$12.29"``; None for what is no price."""
    try:
        return Decimal(str(text).replace("$", "").replace(",", "")) if text else None
    except InvalidOperation:
        return None


@attrs.frozen
class Kind:
    """One instance type: its id, the platform's name and what is in it; memory in bytes."""

    fid: str
    name: str
    gpu: str
    gpus: int
    gpu_memory: int | None
    cpus: int
    memory: int
    hourly: Decimal | None

    @property
    def word(self) -> str:
        """The type in the users' grammar, as ``8xh100``."""
        return f"{self.gpus}x{self.gpu}" if self.gpus else f"{self.cpus}xcpu"

    def fits(self, wanted: str | None, needs: Resources) -> bool:
        """Whether this is what ``wanted`` names (a word of the grammar, a name, an id) and has what is needed."""
        return (wanted is None or self._is(wanted)) and self._has(needs)

    def _is(self, wanted: str) -> bool:
        if wanted in (self.fid, self.name):
            return True
        asked = parse_instance_type(wanted)
        if asked.is_cpu:
            return self.gpus == 0 and asked.count in (None, self.cpus)
        if asked.kind not in ("gpu", self.gpu):
            return False
        return self.gpus > 0 and asked.count in (None, self.gpus)

    def _has(self, needs: Resources) -> bool:
        count = needs.gpu_count or (1 if needs.gpu else 0)
        gpu = (not needs.gpu or needs.gpu.lower() == self.gpu) and self.gpus >= count
        memory = (needs.memory or 0) <= self.memory and (needs.gpu_memory or 0) <= (self.gpu_memory or 0)
        return gpu and memory and (needs.cpus or 0) <= self.cpus


@attrs.frozen
class Place:
    """An instance type in a region: how many there are and the price of one for an hour now."""

    kind: Kind
    region: str
    price: Decimal | None
    capacity: int | None
    spot: bool = True

    def offer(self) -> Offer:
        """Return it as what ``flow offers`` lists."""
        kind, each = self.kind, ""
        if self.price is not None and kind.gpus > 1:
            each = f"{self.price / kind.gpus:.2f} USD per GPU and hour; "
        return Offer(
            instance_type=kind.word,
            gpu=kind.gpu,
            gpu_count=kind.gpus,
            gpu_memory=kind.gpu_memory,
            cpus=float(kind.cpus),
            memory=kind.memory,
            region=self.region,
            spot=self.spot,
            price_per_hour=self.price,
            available=self.capacity,
            note=f"{each}{kind.name}",
        )


class Catalog:
    """Types and prices, read when they are first needed and kept for a minute."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._kept: dict[str, tuple[float, Any]] = {}

    def kinds(self) -> Mapping[str, Kind]:
        """Return the GPU types of the spot market by id."""
        return {row["fid"]: _kind(row) for row in self._read("instance-types")}

    def spot(self) -> list[Place]:
        """Return what the spot market offers, cheapest first."""
        kinds = self.kinds()
        rows = [row for row in self._read("spot/availability") if row["instance_type"] in kinds]
        found = [
            Place(kinds[row["instance_type"]], row["region"], dollars(row["last_instance_price"]), int(row["capacity"]))
            for row in rows
        ]
        return sorted(found, key=_cost)

    def cpu(self) -> list[Place]:
        """Return the machines without GPUs, cheapest first; they are not preemptible."""
        kinds = [_kind(row) for row in self._read("cpu/instance-types")]
        regions = [str(row["name"]) for row in self._read("cpu/regions")]
        found = [Place(kind, region, kind.hourly, None, spot=False) for kind in kinds for region in regions]
        return sorted(found, key=_cost)

    def matching(self, wanted: str | None, needs: Resources, spot: bool | None = None) -> list[Place]:
        """Return every place of what is asked for, cheapest first; without a claim on GPUs that is a machine of CPUs."""
        return [place for place in self._market(wanted, needs, spot) if place.kind.fits(wanted, needs)]

    def _market(self, wanted: str | None, needs: Resources, spot: bool | None) -> list[Place]:
        if is_cpu(wanted, needs):
            return [] if spot else self.cpu()
        return self.spot()

    def all(self) -> list[Place]:
        """Return all there is, cheapest first."""
        return sorted([*self.spot(), *self.cpu()], key=_cost)

    def words(self) -> list[str]:
        """Return the types there are in the users' grammar."""
        return sorted({place.kind.word for place in self.all()})

    def forget(self) -> None:
        """Read afresh the next time."""
        self._kept.clear()

    def _read(self, path: str) -> Sequence[Mapping[str, Any]]:
        at, rows = self._kept.get(path, (0.0, None))
        if rows is None or time.monotonic() - at > _FRESH:
            rows = self._api.get(path)
            self._kept[path] = (time.monotonic(), rows)
        return list(rows)


def is_cpu(wanted: str | None, needs: Resources) -> bool:
    """Whether a machine without GPUs is asked for: by name, or by claiming no GPU at all."""
    if wanted is not None:
        return parse_instance_type(wanted).is_cpu or _CPU_NAME.match(wanted) is not None
    return not needs.gpu and not needs.gpu_count and not needs.gpu_memory


_CPU_NAME = re.compile(r"cpu[-.\d]", re.IGNORECASE)


def _cost(place: Place) -> tuple[Decimal, str, str]:
    return (Decimal("Infinity") if place.price is None else place.price, place.kind.name, place.region)


def _kind(row: Mapping[str, Any]) -> Kind:
    memory = int(row["gpu_memory_gb"]) * GB
    return Kind(
        fid=row["fid"],
        name=row["name"],
        gpu=_gpu(row["gpu_type"]),
        gpus=int(row["num_gpus"]),
        gpu_memory=memory or None,
        cpus=int(row["num_cpus"]),
        memory=int(row["ram_gb"]) * GB,
        hourly=Decimal(str(row["hourly_price"])) if row.get("hourly_price") else None,
    )


def _gpu(text: str) -> str:
    """Read the users' word out of the platform's: ``NVIDIA H100 80GB`` and ``h100-80gb`` are ``h100``."""
    for word in _words(text):
        if any(letter.isdigit() for letter in word) and not re.fullmatch(r"\d+(gb)?", word):
            return word
    return text.lower()


def _words(text: str) -> Iterator[str]:
    yield from (word for word in re.split(r"[^a-z0-9]+", text.lower()) if word)
