"""Volumes."""

from __future__ import annotations

from flow_mithril.testing import _orders
from flow_mithril.testing._account import storage_used
from flow_mithril.testing._instances import LIVE
from flow_mithril.testing._refusal import Refusal
from flow_mithril.testing._routes import Call, answers
from flow_mithril.testing._world import Row, World, new_fid


@answers("GET", "/v2/volumes")
def volumes(world: World, call: Call) -> list[Row]:
    project = world.project(call.query["project"])
    found = world.all("volumes", project=project, region=call.query.get("region"))
    ended_too = call.query.get("include_deleted", False)
    return [_shown(world, row) for row in found if ended_too or row["deleted_at"] is None]


@answers("POST", "/v2/volumes", 201)
def create_volume(world: World, call: Call) -> Row:
    said, project = call.body, world.project(call.body["project"])
    region = world.table("regions").get(said["region"])
    if region is None:
        raise Refusal(404, "Region not found")
    if said["disk_interface"] == "File" and not region["fileshare_storage_enabled"]:
        raise Refusal(400, f"File shares are not available in {said['region']}")
    if storage_used(world, project) + said["size_gb"] > world.settings.storage_quota:
        raise Refusal(400, "Storage quota exceeded")
    _free(world, project, said["name"])
    row = {"fid": new_fid("vol"), "name": said["name"], "region": said["region"], "created_at": world.clock.stamp()}
    row |= {"deleted_at": None, "capacity_gb": said["size_gb"], "project": project, "interface": said["disk_interface"]}
    return _shown(world, world.add("volumes", row))


@answers("PATCH", "/v2/volumes/{volume_fid}")
def rename_volume(world: World, call: Call) -> Row:
    row = _live(world, call)
    if call.body["name"] != row["name"]:
        _free(world, row["project"], call.body["name"])
    row["name"] = call.body["name"]
    return _shown(world, row)


@answers("DELETE", "/v2/volumes/{volume_fid}", 204)
def delete_volume(world: World, call: Call) -> None:
    row = _live(world, call)
    if _orders.holders(world, row["fid"]):
        raise Refusal(409, "Volume is attached")
    row["deleted_at"] = world.clock.stamp()
    world.machines.delete_volume(row["fid"])


def _live(world: World, call: Call) -> Row:
    row = world.one("volumes", call.path["volume_fid"], "Volume")
    if row["deleted_at"] is not None:
        raise Refusal(404, "Volume not found")
    return row


def _free(world: World, project: str, name: str) -> None:
    if any(row["deleted_at"] is None for row in world.all("volumes", project=project, name=name)):
        raise Refusal(409, f"Volume name {name} already used")


def _shown(world: World, row: Row) -> Row:
    orders = _orders.holders(world, row["fid"])
    using = [each for each in world.all("instances") if (each["bid"] or each["reservation"]) in orders]
    return {
        **row,
        "bids": [fid for fid in orders if fid.startswith("bid_")],
        "reservations": [fid for fid in orders if fid.startswith("res_")],
        "attachments": {each["fid"]: "attached" for each in using if each["status"] in LIVE},
    }
