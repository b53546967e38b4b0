"""Volumes: disks of one machine and shares of many, by the platform's own names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flow_core.errors import ConfigError, ConflictError, NotFoundError
from flow_core.types import Volume, VolumeSpec
from flow_mithril._api import Api

BLOCK, FILE = "block", "file"


class Volumes:
    """The volumes of a project."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def all(self, project: str) -> list[Volume]:
        """Return those that are not deleted."""
        return [_volume(row) for row in self._api.get("volumes", project=project) if not row.get("deleted_at")]

    def create(self, project: str, spec: VolumeSpec, region: str, mine: Mapping[str, str], request: str) -> Volume:
        """Make one; ``mine`` maps the names that this client made to their requests. Raises ConflictError."""
        for found in self.all(project):
            if found.name == spec.name:
                if mine.get(spec.name) == request:
                    return found
                raise ConflictError(f"there is a volume {spec.name} already", "choose another name")
        body = {
            "name": spec.name,
            "project": project,
            "disk_interface": (spec.kind or BLOCK).capitalize(),
            "region": region,
            "size_gb": spec.size_gb,
        }
        return _volume(self._api.post("volumes", body, key=request))

    def delete(self, fid: str) -> bool:
        """Delete one and all that is in it; False when it was gone. Raises ConflictError while it is attached."""
        try:
            return self._api.delete(f"volumes/{fid}")
        except ConfigError as error:
            raise ConflictError(f"the volume cannot be deleted: {error.message}", "end what uses it first") from error

    def find(self, project: str, fid: str) -> Volume:
        """Return one by id. Raises NotFoundError."""
        for volume in self.all(project):
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
