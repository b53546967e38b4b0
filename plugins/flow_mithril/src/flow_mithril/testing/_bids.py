"""Spot bids."""

from __future__ import annotations

from decimal import Decimal

from flow_mithril.testing import _instances, _orders
from flow_mithril.testing._account import spot_used
from flow_mithril.testing._refusal import Refusal
from flow_mithril.testing._routes import Call, answers
from flow_mithril.testing._world import Row, World, amount, dollars, new_fid, paged, shown

_LEAST = Decimal("0.01")


@answers("GET", "/v2/spot/bids")
def bids(world: World, call: Call) -> Row:
    fields = ("project", "instance_type", "region", "status", "name")
    found = world.all("bids", **{field: call.query.get(field) for field in fields})
    return paged(found, call.query, {"status": lambda row: row["status"]})


@answers("POST", "/v2/spot/bids", 201)
def create_bid(world: World, call: Call) -> Row:
    said = call.body
    _orders.check(world, said, said["instance_quantity"])
    world.market(said["instance_type"], said["region"])
    price = _price(said["limit_price"])
    kind = world.table("types")[said["instance_type"]]
    if spot_used(world, said["project"], kind) + said["instance_quantity"] > world.settings.spot_quota:
        raise Refusal(400, f"Spot quota exceeded for {kind['name']}")
    launch = {**said["launch_specification"]}
    row: Row = {
        "fid": new_fid("bid"),
        **{name: said[name] for name in ("name", "project", "instance_quantity", "instance_type", "region")},
        "created_by": world.me["fid"],
        "created_at": world.clock.stamp(),
        "deactivated_at": None,
        "limit_price": price,
        "instances": [],
        "launch_specification": launch,
        "status": "Open",
        "_events": [],
        "_end": None,
        "_again_at": 0.0,
    }
    world.event(row, "Placed", limit_price=price, user_id=world.me["fid"])
    return shown(world.add("bids", row))


def _price(text: str) -> str:
    if amount(text) < _LEAST:
        raise Refusal(400, f"Limit price below minimum of {dollars(_LEAST)}")
    return dollars(amount(text))


@answers("GET", "/v2/spot/bids/{bid_fid}")
def bid(world: World, call: Call) -> Row:
    return shown(_bid(world, call))


@answers("GET", "/v2/spot/bids/{bid_fid}/status")
def bid_status(world: World, call: Call) -> Row:
    row = _bid(world, call)
    moving = any(each["status"] == "STATUS_RELOCATING" for each in _instances.of(world, row))
    return {"bid_fid": row["fid"], "status": "Relocating" if moving else row["status"]}


@answers("GET", "/v2/spot/bids/{bid_fid}/history")
def bid_history(world: World, call: Call) -> Row:
    row = _bid(world, call)
    return {"bid_fid": row["fid"], "events": row["_events"]}


@answers("PATCH", "/v2/spot/bids/{bid_fid}")
def update_bid(world: World, call: Call) -> Row:
    row = _live(world, call)
    if call.body.get("volumes") is not None:
        _set_volumes(world, row, call.body["volumes"])
    if call.body.get("limit_price") is not None:
        row["limit_price"] = _price(call.body["limit_price"])
        world.event(row, "Limit Price Changed", limit_price=row["limit_price"], user_id=world.me["fid"])
    if call.body.get("memory_gb") is not None:
        row["launch_specification"]["memory_gb"] = call.body["memory_gb"]
        world.event(row, "Memory Adjusted", memory_gb=call.body["memory_gb"])
    if call.body.get("paused") is not None:
        _pause(world, row, call.body["paused"])
    return shown(row)


def _set_volumes(world: World, row: Row, wanted: list[str]) -> None:
    if row["status"] != "Paused":
        raise Refusal(400, "Volumes can be changed only while the bid is paused")
    _orders.volumes(world, row["project"], row["region"], wanted, row["instance_quantity"], mine=row["fid"])
    before = row["launch_specification"]["volumes"]
    row["launch_specification"]["volumes"] = wanted
    for name, left, right, word in (
        ("Volumes Attached", wanted, before, "attached"),
        ("Volumes Removed", before, wanted, "removed"),
    ):
        for fid in (fid for fid in left if fid not in right):
            world.event(row, name, persistent_disk_change={word: fid})


def _pause(world: World, row: Row, paused: bool) -> None:
    if paused and row["status"] != "Paused":
        row.update(status="Paused", _end=None)
        world.event(row, "Paused", user_id=world.me["fid"])
        for instance in _instances.of(world, row):
            _instances.stop(world, instance, "STATUS_PAUSED")
    elif not paused and row["status"] == "Paused":
        row["status"] = "Open"
        world.event(row, "Resumed", user_id=world.me["fid"])


@answers("DELETE", "/v2/spot/bids/{bid_fid}", 204)
def cancel_bid(world: World, call: Call) -> None:
    row = _live(world, call)
    row.update(status="Terminated", deactivated_at=world.clock.stamp(), _end=None)
    world.event(row, "Terminated", user_id=world.me["fid"])
    for instance in _instances.of(world, row):
        _instances.end(world, instance)


def _bid(world: World, call: Call) -> Row:
    return world.one("bids", call.path["bid_fid"], "Bid")


def _live(world: World, call: Call) -> Row:
    row = _bid(world, call)
    if row["status"] == "Terminated":
        raise Refusal(400, "Bid is already terminated")
    return row
