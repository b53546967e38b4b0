"""Machines: lists, states, histories, and what may be done to reserved ones."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flow_mithril.testing import _instances
from flow_mithril.testing._clock import read
from flow_mithril.testing._market import clearing
from flow_mithril.testing._refusal import Refusal
from flow_mithril.testing._routes import Call, answers
from flow_mithril.testing._world import Row, World, paged


@answers("GET", "/v2/instances")
def instances(world: World, call: Call) -> Row:
    query = call.query
    fields = {"project": world.project(query["project"]), **{n: query.get(n) for n in ("instance_type", "region")}}
    found = [row for row in world.all("instances", **fields) if _wanted(row, query)]
    by = {"instance_status": lambda row: row["status"], "instance_type_fid": lambda row: row["instance_type"]}
    return paged(found, query, by)


def _wanted(row: Row, query: Row) -> bool:
    order = "Bid" if row["bid"] else "Reservation"
    values = {"status_in": row["status"], "order_type_in": order, "bid_fid_in": row["bid"]}
    values["reservation_fid_in"] = row["reservation"]
    return all(name not in query or value in query[name] for name, value in values.items())


@answers("PATCH", "/v2/instances")
def set_states(world: World, call: Call) -> Row:
    rows = [_reserved(world, fid) for fid in call.body["instances"]]
    for row in rows:
        order = world.table("reservations")[row["reservation"]]
        if order["status"] != "Active":
            raise Refusal(409, f"Reservation {order['fid']} is not active")
        if call.body["status"] == "STATUS_PAUSED":
            _instances.stop(world, row, "STATUS_PAUSED")
        elif row["status"] == "STATUS_PAUSED":
            _instances.boot(world, order, row)
    said = {"STATUS_PAUSED": "STATUS_STOPPING", "STATUS_RUNNING": "STATUS_CONFIRMED"}[call.body["status"]]
    return {"instances": {row["fid"]: said for row in rows}}


@answers("GET", "/v2/instances/{instance_fid}/status")
def instance_status(world: World, call: Call) -> Row:
    row = _instance(world, call.path["instance_fid"])
    named = {name: row[name] for name in ("fid", "name", "status", "bid", "reservation")}
    return {**named, "end_time": row["_end"]}


@answers("GET", "/v2/internal/status")
def internal_status(world: World, call: Call) -> Row:
    row = _instance(world, call.query["instance_fid"])
    said = {"instance_fid": row["fid"], "instance_status": row["status"], "instance_name": row["name"]}
    bid = world.table("bids").get(row["bid"])
    return {**said, **({"bid_fid": bid["fid"], "bid_status": bid["status"]} if bid else {}), "end_time": row["_end"]}


@answers("POST", "/v2/instances/{instance_fid}/refresh-boot-disk")
def refresh_boot_disk(world: World, call: Call) -> Row:
    row = _reserved(world, call.path["instance_fid"])
    if row["status"] != "STATUS_PAUSED":
        raise Refusal(409, "Instance must be stopped")
    row["_fresh"] = True
    return {"fid": row["fid"], "image_version": call.body.get("image_version"), "status": "REFRESHED"}


@answers("POST", "/v2/instances/{instance_fid}/restart", 202)
def restart(world: World, call: Call) -> Row:
    row = _reserved(world, call.path["instance_fid"])
    if row["status"] != "STATUS_RUNNING":
        raise Refusal(409, "Instance is not ready")
    world.machines.restart(row["fid"])
    return {"fid": row["fid"], "status": "RESTARTING"}


@answers("GET", "/v2/instances/status/history")
def status_history(world: World, call: Call) -> Row:
    return _histories(world, call, lambda row: row["_events"])


@answers("GET", "/v2/instances/pricing/history")
def pricing_history(world: World, call: Call) -> Row:
    return _histories(world, call, lambda row: _prices(world, row))


def _histories(world: World, call: Call, events: Any) -> Row:
    query = call.query
    where = {"fid": query.get("instance_fid"), "bid": query.get("bid_fid"), "reservation": query.get("reservation_fid")}
    found = world.all("instances", project=world.project(query["project"]), **where)
    rows = [{**_history(row), "events": _between(events(row), query), "_at": row["created_at"]} for row in found]
    return paged(rows, query, {"": lambda row: row["_at"]}, key="instances")


def _history(row: Row) -> Row:
    return {"instance_fid": row["fid"], "bid_fid": row["bid"], "reservation_fid": row["reservation"]}


def _between(events: list[Row], query: Row) -> list[Row]:
    first, last = query.get("start_time"), query.get("end_time")
    at = [(read(event.get("timestamp") or event["start_time"]), event) for event in events]
    return [e for when, e in at if (first is None or when >= read(first)) and (last is None or when <= read(last))]


def _prices(world: World, row: Row) -> list[Row]:
    """Return the times an instance ran, at the price of now: nobody is billed while starting, paused or preempted."""
    price = _price(world, row)
    spans: list[Row] = []
    for event in row["_events"]:
        if event["status"] == "STATUS_RUNNING":
            spans.append({"price_cents": price, "start_time": event["timestamp"], "end_time": None})
        elif spans and spans[-1]["end_time"] is None and event["status"] != "STATUS_PREEMPTING":
            spans[-1]["end_time"] = event["timestamp"]
    return spans


def _price(world: World, row: Row) -> int:
    auctions = world.all("auctions", instance_type=row["instance_type"], region=row["region"])
    kinds = {**world.table("types"), **world.table("cpu_types")}
    spot = clearing(world, auctions[0]) if auctions and row["bid"] else None
    return int((spot or Decimal(str(kinds[row["instance_type"]]["hourly_price"]))) * 100)


def _instance(world: World, fid: str) -> Row:
    return world.one("instances", fid, "Instance")


def _reserved(world: World, fid: str) -> Row:
    row = _instance(world, fid)
    if row["bid"] is not None:
        raise Refusal(501, "Not supported for spot instances")
    return row
