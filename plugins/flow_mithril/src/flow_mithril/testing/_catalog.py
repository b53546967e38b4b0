"""Instance types, regions, images, markets and prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flow_mithril.testing._clock import read
from flow_mithril.testing._market import clearing, shown_auction
from flow_mithril.testing._routes import Call, answers
from flow_mithril.testing._world import Row, World, dollars, shown

_PRICES = (
    "spot_price_cents",
    "reserved_price_cents",
    "minimum_price_cents",
    "lowest_allocated_bid_cents",
    "dynamic_win_price_cents",
    "available_capacity",
    "total_capacity",
)


@answers("GET", "/v2/instance-types")
@answers("GET", "/v2/reservation/instance-types")
def instance_types(world: World, call: Call) -> list[Row]:
    return world.all("types")


@answers("GET", "/v2/cpu/instance-types")
def cpu_instance_types(world: World, call: Call) -> list[Row]:
    return [shown(row) for row in world.all("cpu_types")]


@answers("GET", "/v2/cpu/regions")
@answers("GET", "/marketplace/v1/regions")
def regions(world: World, call: Call) -> list[Row]:
    return world.all("regions")


@answers("GET", "/v2/image-versions")
def image_versions(world: World, call: Call) -> list[Row]:
    return [world.image]


@answers("GET", "/v2/spot/availability")
def availability(world: World, call: Call) -> list[Row]:
    return [shown_auction(world, auction) for auction in world.all("auctions")]


@answers("GET", "/v2/pricing/current")
def current_prices(world: World, call: Call) -> Row:
    where = {"instance_type": world.kind(call.query["instance_type"]), "region": call.query.get("region")}
    found = world.all("auctions", **where)
    if not found:
        return dict.fromkeys(_PRICES)
    auction = min(found, key=lambda row: clearing(world, row))
    said, price = shown_auction(world, auction), clearing(world, auction)
    lowest = said["lowest_allocated_price"]
    prices = {
        "spot_price_cents": _cents(price),
        "reserved_price_cents": _cents(_reserved(world, auction)),
        "minimum_price_cents": 1,
        "lowest_allocated_bid_cents": None if lowest is None else _cents(Decimal(lowest[1:])),
        "dynamic_win_price_cents": _cents(price),
    }
    return {**prices, "available_capacity": said["capacity"], "total_capacity": auction["_capacity"]}


def _cents(price: Decimal) -> int:
    return int(price * 100)


def _reserved(world: World, auction: Row) -> Decimal:
    return Decimal(str(world.table("types")[auction["instance_type"]]["hourly_price"]))


@answers("GET", "/v2/pricing/history")
def price_history(world: World, call: Call) -> Row:
    wanted = [world.kind(name) for name in call.query.get("instance_types", "").split(",") if name]
    auctions = [
        auction
        for auction in world.all("auctions", region=call.query.get("region"))
        if not wanted or auction["instance_type"] in wanted
    ]
    return {
        "series": [_series(world, auction, call.query) for auction in auctions],
        "complete": True,
        "show_disabled_regions": False,
    }


def _series(world: World, auction: Row, query: Row) -> dict[str, Any]:
    first, last = query.get("start_time"), query.get("end_time")
    points = [
        (at, price)
        for at, price in auction["_prices"]
        if (first is None or read(at) >= read(first)) and (last is None or read(at) <= read(last))
    ]
    number = query.get("num_samples", 100)
    points = points if number < 0 else points[len(points) - min(number, len(points)) :]
    reserved = dollars(_reserved(world, auction))
    return {
        "instance_type": auction["instance_type"],
        "region": auction["region"],
        "timestamps": [at for at, _ in points],
        "spot_prices": [dollars(price) for _, price in points],
        "reserved_prices": [reserved for _ in points],
        "region_disabled": False,
    }
