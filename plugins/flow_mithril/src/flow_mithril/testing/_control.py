"""``/_control``: what a test does to the service, and what it asks about it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from flow_mithril.testing import _instances, _market
from flow_mithril.testing._faults import Fault
from flow_mithril.testing._refusal import Refusal
from flow_mithril.testing._world import Row, World


def price(world: World, said: Row) -> Any:
    """``{"instance_type", "region", "price": dollars}``: what the market asks from now on."""
    _market.set_price(world, _auction(world, said), Decimal(str(said["price"]).removeprefix("$")))


def capacity(world: World, said: Row) -> Any:
    """``{"instance_type", "region", "capacity"}``: instances there are, used ones too. CPU types have no region."""
    kind = world.kind(said["instance_type"])
    place = world.table("cpu_types").get(kind) or _auction(world, said)
    place["_capacity"] = int(said["capacity"])


def preempt(world: World, said: Row) -> Any:
    """``{"bid", "notice"?: seconds, "again_after"?: seconds}``: the bid loses its capacity whatever it offers."""
    bid = world.one("bids", said["bid"], "Bid")
    if bid["status"] != "Allocated":
        raise Refusal(409, f"Bid is {bid['status']}")
    notice = float(said.get("notice", world.settings.notice_seconds))
    _market.preempt(world, bid, notice, float(said.get("again_after", 0.0)))


def relocate(world: World, said: Row) -> Any:
    """``{"instance", "notice"?: seconds}``: the instance is told, stopped, and started on another host."""
    instance = world.one("instances", said["instance"], "Instance")
    if instance["status"] != "STATUS_RUNNING":
        raise Refusal(409, f"Instance is {instance['status']}")
    notice = float(said.get("notice", world.settings.notice_seconds))
    _instances.warn(world, instance, "STATUS_RELOCATING", "Allocated", world.clock.stamp(after=notice))


def error(world: World, said: Row) -> Any:
    """``{"instance"}``: the instance is in STATUS_ERROR."""
    _instances.enter(world, world.one("instances", said["instance"], "Instance"), "STATUS_ERROR")


def clock(world: World, said: Row) -> Any:
    """``{"speed"?: times, "advance"?: seconds}``; the answer is the time."""
    if "speed" in said:
        world.clock.run(float(said["speed"]))
    world.clock.advance(float(said.get("advance", 0.0)))
    return {"now": world.clock.stamp(), "speed": world.clock.speed}


def fault(world: World, said: Row) -> Any:
    """The fields of :class:`~flow_mithril.testing._faults.Fault`."""
    world.faults.append(Fault(**said))


def requests(world: World, said: Row) -> Any:
    """Every request so far: ``{at, method, path, query, headers, body, status}``; ``method`` and ``path`` filter."""
    return [
        row for row in world.requests if all(row[name] == said[name] for name in ("method", "path") if name in said)
    ]


def machine(world: World, said: Row) -> Any:
    """``{"instance", "do"?: deed, …}``: acts on the machine below an instance; without a deed, says what it is."""
    fid = world.one("instances", said.pop("instance"), "Instance")["fid"]
    deed = said.pop("do", None)
    return world.machines.describe(fid) if deed is None else world.machines.act(fid, deed, **said)


def publish(world: World, said: Row) -> Any:
    """``{"port"}``: machines that boot from now on reach this port of the host's loopback at their own."""
    world.machines.publish(int(said["port"]))


CONTROLS: dict[tuple[str, str], Callable[[World, Row], Any]] = {
    ("POST", "price"): price,
    ("POST", "capacity"): capacity,
    ("POST", "preempt"): preempt,
    ("POST", "relocate"): relocate,
    ("POST", "error"): error,
    ("POST", "clock"): clock,
    ("POST", "fault"): fault,
    ("GET", "requests"): requests,
    ("POST", "machine"): machine,
    ("POST", "publish"): publish,
}


def control(world: World, method: str, name: str, said: Row) -> Any:
    """Do what ``/_control/NAME`` is for; refuse with 400 what is not understood."""
    if (method, name) not in CONTROLS:
        raise Refusal(404, f"no control {method} {name}; there are {', '.join(' '.join(each) for each in CONTROLS)}")
    # What is done to a machine may take long, and it may ask the API meanwhile.
    held = contextlib.nullcontext() if name == "machine" else world.lock
    try:
        with held:
            return CONTROLS[method, name](world, said)
    except (KeyError, TypeError, ValueError, ArithmeticError, LookupError) as bad:
        raise Refusal(400, f"{name}: {type(bad).__name__}: {bad}") from bad


def _auction(world: World, said: Row) -> Row:
    return world.market(world.kind(said["instance_type"]), said.get("region", world.settings.region))
