"""The life of instances, whoever ordered them."""

from __future__ import annotations

from typing import Any

from flow_mithril.testing._clock import read
from flow_mithril.testing._machines import Launch
from flow_mithril.testing._world import Row, World, new_fid

_STARTING = ("STATUS_NEW", "STATUS_CONFIRMED", "STATUS_INITIALIZING", "STATUS_STARTING")
LIVE = (*_STARTING, "STATUS_RUNNING", "STATUS_PREEMPTING", "STATUS_RELOCATING")


def names(order: Row) -> list[str]:
    return [f"{order['name']}-{index}" for index in range(order["instance_quantity"])]


def of(world: World, order: Row) -> list[Row]:
    """Return the instances of a bid or a reservation."""
    return [world.table("instances")[fid] for fid in order["instances"]]


def enter(world: World, instance: Row, status: str) -> None:
    if instance["status"] != status:
        instance["status"] = status
        instance["_events"].append({"timestamp": world.clock.stamp(), "status": status})


def start(world: World, order: Row) -> None:
    """Start the instances of an order that was given capacity: make them, or boot those that were stopped."""
    again = bool(order["instances"])
    if not again:
        order["instances"] = [_make(world, order, name)["fid"] for name in names(order)]
    for instance in of(world, order):
        if again:
            boot(world, order, instance)
        else:
            instance["_started"] = world.clock.time()
            world.machines.launch(_launch(world, order, instance))


def boot(world: World, order: Row, instance: Row) -> None:
    """Start an instance that was stopped; its disk is as it was, or new when it was asked to be."""
    instance["_started"] = world.clock.time()
    enter(world, instance, "STATUS_CONFIRMED")
    if instance.pop("_fresh", False):
        world.machines.delete(instance["fid"])
        world.machines.launch(_launch(world, order, instance))
    else:
        world.machines.start(_launch(world, order, instance))


def stop(world: World, instance: Row, status: str) -> None:
    """Stop an instance's machine; its boot disk stays."""
    enter(world, instance, status)
    instance["ssh_destination"] = None
    instance["_end"] = None
    world.machines.signal(instance["fid"], None)
    world.machines.stop(instance["fid"])


def end(world: World, instance: Row) -> None:
    """End an instance for good; its boot disk goes."""
    if instance["status"] != "STATUS_TERMINATED":
        enter(world, instance, "STATUS_TERMINATED")
        instance.update(ssh_destination=None, _end=None)
        world.machines.delete(instance["fid"])


def warn(world: World, instance: Row, status: str, order_status: str, end_time: str) -> None:
    """Tell an instance that it is to be taken away at ``end_time``."""
    enter(world, instance, status)
    instance["_end"] = end_time
    notice = f"instance_status: {status}\nbid_status: {order_status}\nend_time: '{end_time}'\n"
    world.machines.signal(instance["fid"], notice)


def settle(world: World) -> None:
    """Move those that start on, as far as their clock and their machines have come."""
    for instance in world.all("instances"):
        status = instance["status"]
        if status in _STARTING:
            _progress(world, instance)
        elif status == "STATUS_RELOCATING" and read(instance["_end"]) <= world.clock.now():
            order = world.table("bids").get(instance["bid"]) or world.table("reservations")[instance["reservation"]]
            stop(world, instance, "STATUS_RELOCATING")
            boot(world, order, instance)


def _progress(world: World, instance: Row) -> None:
    fid = instance["fid"]
    gone = (world.clock.time() - instance["_started"]) / max(world.settings.start_seconds, 1e-9)
    private, destination = world.machines.addresses(fid)
    if gone >= 0.5:
        instance["private_ip"] = private
    if gone >= 1 and world.machines.ready(fid):
        instance["ssh_destination"] = destination
        return enter(world, instance, "STATUS_RUNNING")
    reached = _STARTING[min(int(gone * len(_STARTING)), len(_STARTING) - 1)]
    if _STARTING.index(reached) > _STARTING.index(instance["status"]):
        enter(world, instance, reached)
    return None


def _make(world: World, order: Row, name: str) -> Row:
    bid = order["fid"] if order["fid"].startswith("bid_") else None
    made: dict[str, Any] = {
        "fid": new_fid("inst"),
        "name": name,
        "project": order["project"],
        "created_at": world.clock.stamp(),
        "created_by": order["created_by"],
        "instance_type": order["instance_type"],
        "region": order["region"],
        "bid": bid,
        "reservation": None if bid else order["fid"],
        "ssh_destination": None,
        "private_ip": None,
        "status": "STATUS_NEW",
        "_end": None,
        "_events": [{"timestamp": world.clock.stamp(), "status": "STATUS_NEW"}],
    }
    return world.add("instances", made)


def _launch(world: World, order: Row, instance: Row) -> Launch:
    said = order["launch_specification"]
    keys = [world.table("ssh_keys")[fid]["public_key"] for fid in said["ssh_keys"]]
    kind = {**world.table("types"), **world.table("cpu_types")}[instance["instance_type"]]
    volumes = [world.table("volumes")[fid] for fid in said["volumes"]]
    return Launch(
        fid=instance["fid"],
        name=instance["name"],
        keys=keys,
        script=said.get("startup_script"),
        volumes=[(row["fid"], row["name"], row["interface"]) for row in volumes],
        group=[(row["fid"], row["name"]) for row in of(world, order)],
        gpus=kind["num_gpus"],
        gpu=f"NVIDIA {kind['gpu_type'].upper()}-SXM-{kind['gpu_memory_gb']}GB",
    )
