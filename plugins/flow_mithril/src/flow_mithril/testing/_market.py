"""The spot market: who holds capacity, at what price, and who is asked to go."""

from __future__ import annotations

from decimal import Decimal

from flow_mithril.testing import _instances
from flow_mithril.testing._clock import read
from flow_mithril.testing._world import Row, World, amount, dollars

HOLDING = ("Allocated", "Preempting")


def settle(world: World) -> None:
    """Hold a round of each auction when it is time, and end the notices that have run out."""
    for bid in world.all("bids", status="Preempting"):
        if read(bid["_end"]) <= world.clock.now():
            _preempted(world, bid)
    if world.clock.time() >= world.table("rounds").get("next", {"at": 0.0})["at"]:
        world.table("rounds")["next"] = {"at": world.clock.time() + world.settings.round_seconds}
        for auction in world.all("auctions"):
            _round(world, auction)


def shown_auction(world: World, auction: Row) -> Row:
    held = [bid for bid in _bids(world, auction) if bid["status"] in HOLDING]
    free = auction["_capacity"] - sum(bid["instance_quantity"] for bid in held)
    lowest = min((amount(bid["limit_price"]) for bid in held), default=None)
    return {
        "fid": auction["fid"],
        "instance_type": auction["instance_type"],
        "region": auction["region"],
        "adjustable_memory": auction["adjustable_memory"],
        "capacity": max(free, 0),
        "last_instance_price": dollars(clearing(world, auction)),
        "lowest_allocated_price": None if lowest is None else dollars(lowest),
        "default_image_version": world.image["image_version_fid"],
    }


def clearing(world: World, auction: Row) -> Decimal:
    """Return what every winner pays: the market's price, or the highest limit that lost for want of capacity."""
    losers = [amount(bid["limit_price"]) for bid in _bids(world, auction) if bid not in _winners(world, auction)]
    price: Decimal = max([auction["_price"], *losers])
    return price


def set_price(world: World, auction: Row, price: Decimal) -> None:
    auction["_price"] = price
    auction["_prices"].append((world.clock.stamp(), price))


def preempt(world: World, bid: Row, notice: float, again_after: float) -> None:
    """Ask a bid to go whatever its price; it may have capacity again ``again_after`` seconds after its machines stopped."""
    bid["_again_at"] = world.clock.time() + notice + again_after
    _warn(world, bid, notice)


def _bids(world: World, auction: Row) -> list[Row]:
    found = world.all("bids", instance_type=auction["instance_type"], region=auction["region"])
    return [bid for bid in found if bid["status"] in ("Open", *HOLDING)]


def _winners(world: World, auction: Row) -> list[Row]:
    """Return those who may hold capacity: highest limit first, the older of equals; all of a bid's instances or none."""
    left, winners = auction["_capacity"], []
    for bid in sorted(_bids(world, auction), key=lambda bid: (-amount(bid["limit_price"]), bid["created_at"])):
        affordable = amount(bid["limit_price"]) >= auction["_price"] and bid["_again_at"] <= world.clock.time()
        if affordable and bid["instance_quantity"] <= left:
            left -= bid["instance_quantity"]
            winners.append(bid)
    return winners


def _round(world: World, auction: Row) -> None:
    winners = _winners(world, auction)
    for bid in _bids(world, auction):
        if bid["status"] == "Allocated" and bid not in winners:
            _warn(world, bid, world.settings.notice_seconds)
        elif bid["status"] == "Preempting" and bid in winners:
            _spared(world, bid)
    held = sum(bid["instance_quantity"] for bid in _bids(world, auction) if bid["status"] in HOLDING)
    for bid in winners:
        if bid["status"] == "Open" and held + bid["instance_quantity"] <= auction["_capacity"]:
            held += bid["instance_quantity"]
            bid["status"] = "Allocated"
            world.event(bid, "Allocated")
            _instances.start(world, bid)


def _warn(world: World, bid: Row, notice: float) -> None:
    bid["status"] = "Preempting"
    bid["_end"] = world.clock.stamp(after=notice)
    for instance in _instances.of(world, bid):
        _instances.warn(world, instance, "STATUS_PREEMPTING", "Preempting", bid["_end"])


def _spared(world: World, bid: Row) -> None:
    bid.update(status="Allocated", _end=None)
    for instance in _instances.of(world, bid):
        instance["_end"] = None
        world.machines.signal(instance["fid"], None)
        _instances.enter(world, instance, "STATUS_RUNNING" if instance["ssh_destination"] else "STATUS_STARTING")


def _preempted(world: World, bid: Row) -> None:
    bid.update(status="Open", _end=None)
    world.event(bid, "Preempted")
    for instance in _instances.of(world, bid):
        _instances.stop(world, instance, "STATUS_PREEMPTED")
