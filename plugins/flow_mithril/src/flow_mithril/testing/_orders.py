"""What bids, reservations and CPU machines have in common: the checks of an order."""

from __future__ import annotations

import re

from flow_mithril.testing._account import ENDED, checked_keys
from flow_mithril.testing._refusal import Refusal
from flow_mithril.testing._world import Row, World

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_MOST_VOLUMES = 20


def check(world: World, order: Row, quantity: int) -> None:
    """Refuse an order whose name, region, keys, script or volumes are not in order."""
    project = world.project(order["project"])
    if not _NAME.fullmatch(order["name"]):
        raise Refusal(400, "Invalid name")
    if order["region"] not in world.table("regions"):
        raise Refusal(404, "Region not found")
    if quantity < 1:
        raise Refusal(400, "Instance quantity must be at least 1")
    said = order["launch_specification"]
    checked_keys(world, project, said["ssh_keys"])
    if said.get("startup_script") and not said["startup_script"].startswith("#!/bin/bash"):
        raise Refusal(400, "Startup script must begin with #!/bin/bash")
    image = said.get("image_version")
    if image is not None and image != world.image["image_version_fid"]:
        raise Refusal(404, "Image version not found")
    volumes(world, project, order["region"], said["volumes"], quantity)


def volumes(world: World, project: str, region: str, fids: list[str], quantity: int, mine: str = "") -> None:
    """Refuse volumes that the order ``mine`` cannot have."""
    if len(fids) > _MOST_VOLUMES:
        raise Refusal(400, f"At most {_MOST_VOLUMES} volumes may be attached")
    for fid in fids:
        volume = world.one("volumes", fid, "Volume")
        if volume["deleted_at"] is not None or volume["project"] != project:
            raise Refusal(404, "Volume not found")
        if volume["region"] != region:
            raise Refusal(400, f"Volume {fid} is in another region")
        if volume["interface"] == "Block" and (quantity > 1 or set(holders(world, fid)) - {mine}):
            raise Refusal(400, f"Volume {fid} can be attached to one instance only")


def holders(world: World, volume: str) -> list[str]:
    """Return the fids of the live orders that name a volume."""
    orders = [*world.all("bids"), *world.all("reservations")]
    live = [order for order in orders if order["status"] not in ENDED]
    return [order["fid"] for order in live if volume in order["launch_specification"]["volumes"]]
