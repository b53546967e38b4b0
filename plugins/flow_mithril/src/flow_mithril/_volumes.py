"""Volumes: disks of one machine and shares of many, by the platform's own names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flow_core.errors import ConfigError, ConflictError, NotFoundError, QuotaError, UnavailableError
from flow_core.types import Volume, VolumeSpec
from flow_mithril import _check
from flow_mithril._account import Account
from flow_mithril._api import Api
from flow_mithril._catalog import Catalog
from flow_mithril._records import Records

BLOCK, FILE = "block", "file"


class Volumes:
    """The volumes of a project."""

    def __init__(self, api: Api, account: Account, catalog: Catalog, records: Records) -> None:
        self._api, self._account, self._catalog, self._records = api, account, catalog, records

    def all(self) -> list[Volume]:
        """Return those that are not deleted."""
        rows = self._api.get("volumes", project=self._account.project)
        return [_volume(row) for row in rows if not row.get("deleted_at")]

    def create(self, spec: VolumeSpec, region: str | None, request: str) -> Volume:
        """Make one, in a region that can hold it when none is named; the same ``request`` makes nothing new.

        Raises ConfigError, ConflictError for a name that is taken, QuotaError, UnavailableError.
        """
        region = region or self._region(spec)
        world = _check.World(self._catalog, [], [], frozenset())
        if wrong := list(_check.new_volume("name", spec.name, spec.kind, spec.size_gb, region, world)):
            raise ConfigError(f"this volume cannot be made: {wrong[0].message}", wrong[0].hint, problems=wrong)
        with self._records.alone(f"volume-{spec.name}"):
            made = self._mine(spec.name, request) or self._made(spec, region, request)
            self._records.change(request, kind="volume", name=spec.name, fid=made.id)
        return made

    def _mine(self, name: str, request: str) -> Volume | None:
        """Return the volume of this name that the request has made. Raises ConflictError for another's."""
        found = next((volume for volume in self.all() if volume.name == name), None)
        if found is None:
            return None
        makers = [record.request for record in self._records.all() if (record.kind, record.name) == ("volume", name)]
        if makers[-1:] != [request]:
            raise ConflictError(f"there is a volume {name} already", "choose another name")
        return found

    def _made(self, spec: VolumeSpec, region: str, request: str) -> Volume:
        if text := _check.no_room(spec.size_gb or 0, self._api.get("quotas", project=self._account.project)):
            raise QuotaError(text, "ask for more in the console, or delete volumes")
        body = {
            "name": spec.name,
            "project": self._account.project,
            "disk_interface": (spec.kind or BLOCK).capitalize(),
            "region": region,
            "size_gb": spec.size_gb,
        }
        return _volume(self._api.post("volumes", body, key=request))

    def _region(self, spec: VolumeSpec) -> str:
        """Where most of what is cheapest is: a volume is of one region, as are the machines that use it."""
        able_to = "fileshare_storage_enabled" if spec.kind == FILE else "block_storage_enabled"
        able = {row["name"] for row in self._api.get("cpu/regions") if row[able_to]}
        places = [place for place in self._catalog.spot() if place.region in able]
        if not places and not able:
            raise UnavailableError("no region can hold this volume", "name one: region in the profile")
        return places[0].region if places else min(able)

    def delete(self, fid: str) -> bool:
        """Delete one and all that is in it; False when it was gone. Raises ConflictError while it is attached."""
        try:
            return self._api.delete(f"volumes/{fid}")
        except ConfigError as error:
            raise ConflictError(f"the volume cannot be deleted: {error.message}", "end what uses it first") from error

    def find(self, fid: str) -> Volume:
        """Return one by id. Raises NotFoundError."""
        for volume in self.all():
            if volume.id == fid:
                return volume
        raise NotFoundError(f"there is no volume {fid}", "see: flow volume list")


def _volume(row: Mapping[str, Any]) -> Volume:
    users = (*row["bids"], *row["reservations"])
    return Volume(
        id=row["fid"],
        name=row["name"],
        size_gb=int(row["capacity_gb"]),
        region=row["region"],
        kind=row["interface"].lower(),
        state="attached" if users else "available",
        attached_to=tuple(users),
        created_at=datetime.fromisoformat(row["created_at"].replace("Z", "+00:00")).timestamp(),
    )
