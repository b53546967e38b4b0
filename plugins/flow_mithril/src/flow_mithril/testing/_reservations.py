"""Reservations: capacity bought for a window."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from flow_mithril.testing import _instances, _orders
from flow_mithril.testing._account import hours_used
from flow_mithril.testing._clock import read, written
from flow_mithril.testing._refusal import Refusal
from flow_mithril.testing._routes import Call, answers
from flow_mithril.testing._world import Row, World, dollars, new_fid, paged, shown

_HOUR = timedelta(hours=1)
_SHORTEST, _LONGEST = timedelta(hours=3), timedelta(days=14)
LIVE = ("Pending", "Active", "Paused")


def settle(world: World) -> None:
    """Begin and end the reservations whose time has come."""
    now = world.clock.now()
    for row in world.all("reservations", _hidden=False):
        if row["status"] == "Pending" and read(row["start_time"]) <= now:
            row["status"] = "Active"
            world.event(row, "Active")
            _instances.start(world, row)
        if row["status"] in LIVE and read(row["end_time"]) <= now:
            row.update(status="Ended", deactivated_at=world.clock.stamp())
            world.event(row, "Ended")
            for instance in _instances.of(world, row):
                _instances.end(world, instance)


@answers("GET", "/v2/reservation")
def reservations(world: World, call: Call) -> Row:
    fields = {name: call.query.get(name) for name in ("instance_type", "region", "status")}
    found = world.all("reservations", _hidden=False, project=world.project(call.query["project"]), **fields)
    return paged(found, call.query, {"status": lambda row: row["status"]})


@answers("POST", "/v2/reservation", 201)
def create_reservation(world: World, call: Call) -> Row:
    said, quantity = call.body, call.body["instance_quantity"]
    _orders.check(world, said, quantity)
    start, end = read(said["start_time"]), read(said["end_time"])
    if not _SHORTEST <= end - start <= _LONGEST:
        raise Refusal(400, "A reservation must last from 3 hours to 2 weeks")
    if quantity > _free(world, said, start, end):
        raise Refusal(409, "Not enough capacity for this window")
    kind, hours = world.one("types", said["instance_type"], "Instance type"), quantity * ((end - start) / _HOUR)
    if hours_used(world, said["project"], kind) + hours > world.settings.reservation_quota:
        raise Refusal(400, f"Reservation quota exceeded for {kind['name']}")
    unit = _unit(world, said)
    most = (said.get("price_specification") or {}).get("max_unit_price")
    if most is not None and unit * 100 > most:
        raise Refusal(400, "Unit price is above max_unit_price")
    names = ("name", "project", "instance_quantity", "instance_type", "region", "launch_specification")
    row: Row = {
        "fid": new_fid("res"),
        **{name: said[name] for name in names},
        "created_by": world.me["fid"],
        "created_at": world.clock.stamp(),
        "deactivated_at": None,
        "instances": [],
        "status": "Pending",
        "start_time": written(start),
        "end_time": written(end),
        "unit_price": dollars(unit),
        "total_price": dollars(_total(unit, quantity, start, end)),
        "_events": [],
        "_hidden": False,
    }
    world.event(row, "Placed", user_id=world.me["fid"])
    return shown(world.add("reservations", row))


@answers("PATCH", "/v2/reservation/{reservation_fid}")
def update_reservation(world: World, call: Call) -> Row:
    row, paused = _live(world, call), call.body.get("paused")
    if call.body.get("volumes") is not None:
        if row["status"] == "Active":
            raise Refusal(400, "Volumes can be changed only while the reservation is paused")
        wanted = call.body["volumes"]
        _orders.volumes(world, row["project"], row["region"], wanted, row["instance_quantity"], mine=row["fid"])
        row["launch_specification"]["volumes"] = wanted
    if paused is True and row["status"] == "Active":
        row["status"] = "Paused"
        world.event(row, "Paused", user_id=world.me["fid"])
        for instance in _instances.of(world, row):
            _instances.stop(world, instance, "STATUS_PAUSED")
    elif paused is False and row["status"] == "Paused":
        row["status"] = "Active"
        world.event(row, "Resumed", user_id=world.me["fid"])
        _instances.start(world, row)
    return shown(row)


@answers("POST", "/v2/reservation/{reservation_fid}/extend")
def extend(world: World, call: Call) -> Row:
    row, end = _live(world, call), read(call.body["end_time"])
    old = read(row["end_time"])
    if end <= old:
        raise Refusal(400, "The new end must be later than the end")
    if row["instance_quantity"] > _free(world, row, old, end):
        raise Refusal(409, "Not enough capacity for this window")
    total = _total(_unit(world, row), row["instance_quantity"], read(row["start_time"]), end)
    row.update(end_time=written(end), total_price=dollars(total))
    world.event(row, "Terms Changed")
    return shown(row)


@answers("GET", "/v2/reservation/{reservation_fid}/extension-availability")
def extension_availability(world: World, call: Call) -> Row:
    row = _live(world, call)
    return {"latest_extension_time": written(read(row["end_time"]) + _LONGEST), "available": True}


@answers("POST", "/v2/reservation/{reservation_fid}/terminate-instances")
def terminate_instances(world: World, call: Call) -> Row:
    row, wanted = _live(world, call), call.body["instances"]
    if any(fid not in row["instances"] for fid in wanted):
        raise Refusal(404, "Instance not found")
    for fid in wanted:
        _instances.end(world, world.table("instances")[fid])
    row["instances"] = [fid for fid in row["instances"] if fid not in wanted]
    row["instance_quantity"] -= len(wanted)
    return {"terminated_instances": wanted}


@answers("GET", "/v2/reservation/{reservation_fid}/history")
def reservation_history(world: World, call: Call) -> Row:
    row = _row(world, call)
    return {"reservation_fid": row["fid"], "events": row["_events"]}


@answers("GET", "/v2/reservation/{reservation_fid}/usage")
def usage(world: World, call: Call) -> Row:
    row = _row(world, call)
    cost = int(Decimal(row["total_price"][1:]) * 100)
    hours = (read(row["end_time"]) - read(row["start_time"])) / timedelta(hours=1) * row["instance_quantity"]
    info = {"fid": row["fid"], "order_name": row["name"], "start_date": row["start_time"], "end_date": row["end_time"]}
    times = {"reserved_instance_hours": f"PT{hours:g}H", "active_instance_hours": "PT0H", "idle_instance_hours": "PT0H"}
    credits_ = {"flex_use_credits_cents": 0, "early_termination_credits_cents": 0}
    summary = {"committed_cost_cents": cost, **credits_, "net_cost_cents": cost, **times, "as_of": world.clock.stamp()}
    return {
        "reservation": {**info, "status": row["status"], "committed_cost_cents": cost},
        "summary": summary,
        "grants": [],
        "pricing_events": [],
        "reservation_events": [],
    }


@answers("GET", "/v2/reservation/quote")
def quote(world: World, call: Call) -> Row:
    start, end = read(call.query["start_time"]), read(call.query["end_time"])
    unit = _unit(world, call.query)
    nothing = ("return_buyback_price", "pause_buyback_price", "total_etbp_value", "total_fubp_value", "option_premium")
    offer: Row = {"key": "standard", "display_name": "Standard", "unit_price": dollars(unit)}
    total = dollars(_total(unit, call.query["quantity"], start, end))
    return {"offers": [{**offer, "total_price": total, **dict.fromkeys(nothing, "$0.00")}]}


@answers("GET", "/v2/reservation/availability")
def reservation_availability(world: World, call: Call) -> Any:
    query, mode = call.query, call.query.get("mode", "latest_end_time")
    needed = {
        "latest_end_time": ("start_time", "quantity"),
        "slots": ("earliest_start_time", "latest_end_time"),
        "check": ("start_time", "end_time", "quantity"),
    }[mode]
    missing = [name for name in needed if name not in query]
    if missing:
        raise Refusal(422, [{"loc": ["query", name], "msg": "Field required", "type": "missing"} for name in missing])
    if mode == "slots":
        first, last = read(query["earliest_start_time"]), read(query["latest_end_time"])
        free = _free(world, query, first, last)
        return [{"start_time": written(first), "end_time": written(last), "quantity": free}] if free else []
    start = read(query["start_time"])
    end = read(query["end_time"]) if mode == "check" else start + _LONGEST
    available = query["quantity"] <= _free(world, query, start, end)
    return {"available": available, **({} if mode == "check" else {"latest_end_time": written(end)})}


def _free(world: World, wanted: Row, start: datetime, end: datetime) -> int:
    """Return how many instances can be reserved: as many as the spot market has, less those of that window."""
    market = world.market(wanted["instance_type"], wanted["region"])
    booked = [
        row["instance_quantity"]
        for row in world.all("reservations", instance_type=market["instance_type"], region=market["region"])
        if row["status"] in LIVE and read(row["start_time"]) < end and start < read(row["end_time"])
    ]
    free: int = market["_capacity"] - sum(booked)
    return max(free, 0)


def _unit(world: World, wanted: Row) -> Decimal:
    kind = world.one("types", wanted["instance_type"], "Instance type")
    return Decimal(str(kind["hourly_price"]))


def _total(unit: Decimal, quantity: int, start: datetime, end: datetime) -> Decimal:
    return unit * quantity * Decimal((end - start).total_seconds()) / 3600


def _row(world: World, call: Call) -> Row:
    row = world.one("reservations", call.path["reservation_fid"], "Reservation")
    if row["_hidden"]:
        raise Refusal(404, "Reservation not found")
    return row


def _live(world: World, call: Call) -> Row:
    row = _row(world, call)
    if row["status"] not in LIVE:
        raise Refusal(409, f"Reservation is {row['status']}")
    return row
