"""Machines without GPUs: started at once, on a reservation that is not listed."""

from __future__ import annotations

from flow_mithril.testing import _instances, _orders
from flow_mithril.testing._refusal import Refusal
from flow_mithril.testing._routes import Call, answers
from flow_mithril.testing._world import Row, World, new_fid, shown


@answers("POST", "/v2/cpu/instances", 201)
def create_cpu_instance(world: World, call: Call) -> Row:
    said = call.body
    launch = {"volumes": said.get("volumes", []), "ssh_keys": said.get("ssh_keys") or []}
    order: Row = {
        "fid": new_fid("res"),
        **{name: said[name] for name in ("name", "project", "instance_type", "region")},
        "created_by": world.me["fid"],
        "created_at": world.clock.stamp(),
        "instance_quantity": 1,
        "instances": [],
        "launch_specification": {**launch, "startup_script": None, "image_version": said.get("image_version")},
        "status": "Active",
        "_hidden": True,
    }
    _orders.check(world, order, 1)
    kind = world.one("cpu_types", said["instance_type"], "Instance type")
    if len(_running(world, kind)) >= kind["_capacity"]:
        raise Refusal(503, "Region is temporarily at CPU capacity")
    _instances.start(world, world.add("reservations", order))
    return shown(_instances.of(world, order)[0])


@answers("DELETE", "/v2/cpu/instances/{instance_fid}", 204)
def delete_cpu_instance(world: World, call: Call) -> None:
    row = world.one("instances", call.path["instance_fid"], "Instance")
    order = world.table("reservations").get(row["reservation"])
    if order is None or not order["_hidden"] or order["status"] == "Ended":
        raise Refusal(404, "Instance not found")
    order["status"] = "Ended"
    _instances.end(world, row)


def _running(world: World, kind: Row) -> list[Row]:
    return world.all("reservations", instance_type=kind["fid"], status="Active")
