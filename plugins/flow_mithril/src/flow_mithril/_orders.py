"""Orders at the platform, whatever their kind: spot bids, reservations, machines without GPUs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs

from flow_core.errors import NotFoundError
from flow_mithril._api import Api
from flow_mithril._catalog import dollars
from flow_mithril._parallel import both

NAME = re.compile(r"flow-[a-z0-9]{26}")
_NUMBERED = re.compile(rf"({NAME.pattern})(-\d+)?")
BID, RESERVATION, CPU = "bid", "reservation", "cpu"
_PATHS = {BID: "spot/bids", RESERVATION: "reservation", CPU: "cpu/instances"}
_PREFIXES = {"bid_": BID, "res_": RESERVATION, "inst_": CPU}
_ID = re.compile(r"(bid|res|inst)_[A-Za-z0-9]+")
_ENDED = frozenset({"Terminated", "Canceled", "Ended", "STATUS_TERMINATED"})
_BATCH = 50
_FEW = 3


@attrs.frozen
class Machine:
    """One instance of an order."""

    fid: str
    name: str
    status: str
    host: str | None
    port: int
    private: str | None

    @property
    def is_up(self) -> bool:
        """Whether the platform says that it runs and where."""
        return self.host is not None and self.status in ("STATUS_RUNNING", "STATUS_PREEMPTING", "STATUS_RELOCATING")


@attrs.frozen
class Order:
    """What was ordered under a request's name, as the platform knows it now."""

    fid: str
    kind: str
    name: str
    status: str
    created_at: float
    quantity: int
    type_fid: str
    region: str
    limit: Decimal | None
    machines: tuple[Machine, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it is left."""
        return self.status in _ENDED

    @property
    def is_up(self) -> bool:
        """Whether all of its machines run."""
        return len(self.machines) >= self.quantity and all(machine.is_up for machine in self.machines)


def kind_of(fid: str) -> str:
    """Return what kind of order an id is of. Raises NotFoundError for what is no id of an order."""
    for prefix, kind in _PREFIXES.items():
        if fid.startswith(prefix):
            return kind
    raise NotFoundError(f"{fid!r} is no bid, reservation or machine", "see what there is with `flow status`")


def order_path(fid: str) -> str:
    """Return the path of an order in the API."""
    return f"{_PATHS[kind_of(fid)]}/{fid}"


class Orders:
    """Places, finds, reads and ends orders of one project."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._seen: dict[str, tuple[float, Order]] = {}

    def seen(self, fid: str, seconds: float) -> Order | None:
        """Return an order as it was read in the last ``seconds``."""
        at, order = self._seen.get(fid, (0.0, None))
        return order if time.monotonic() - at < seconds else None

    def forget(self, fid: str) -> None:
        """Have an order that was ended read anew."""
        self._seen.pop(fid, None)

    def place(self, kind: str, body: Mapping[str, object], request: str) -> str:
        """Place an order once and return its id. Raises TransientError when it is not known whether it was placed."""
        return str(self._api.post(_PATHS[kind], body, key=request)["fid"])

    def named(self, project: str, request: str, kinds: Iterable[str], since: float) -> list[Order]:
        """Return every order of this name, oldest first, ended ones too."""
        found = [order for kind in kinds for order in self._named(project, kind, request, since)]
        return sorted(found, key=lambda order: order.created_at)

    def _named(self, project: str, kind: str, request: str, since: float) -> Iterator[Order]:
        if kind == BID:
            rows = self._api.pages("spot/bids", project=project, name=request)
        else:
            rows = self._newest(kind, project, since)
        yield from (order for order in (_order(kind, row) for row in rows) if order.name == request)

    def ours(self, project: str, since: float) -> Iterator[Order]:
        """Yield every order that carries our name and was placed after ``since`` (UTC seconds), newest first."""
        reservations: set[str] = set()
        for kind in _PATHS:
            for row in self._newest(kind, project, since):
                order = _order(kind, row)
                if kind == RESERVATION:
                    reservations.add(order.fid)
                # A machine without GPUs rides on a reservation that no list shows.
                if NAME.fullmatch(order.name) and row.get("reservation") not in reservations:
                    yield order

    def _newest(self, kind: str, project: str, since: float) -> Iterator[dict[str, Any]]:
        path = "instances" if kind == CPU else _PATHS[kind]
        for row in self._api.pages(path, project=project, sort_by="created_at", sort_dir="desc"):
            if _seconds(row["created_at"]) < since + self._api.ahead - 60:  # its clock and ours may differ
                return
            if kind != CPU or _is_own(row):
                yield row

    def read(self, project: str, fids: Sequence[str], since: float, up: bool = False) -> dict[str, Order]:
        """Return the orders of these ids with their machines; what the platform does not know is left out.

        A handful of calls for any number: one page of a hundred bids, one list of machines for fifty. ``up``: they are
        thought to have machines, which are asked for at the same time.
        """
        ids = [fid for fid in fids if _ID.fullmatch(fid)]
        bids, reserved, cpu = ([fid for fid in ids if kind_of(fid) == kind] for kind in (BID, RESERVATION, CPU))
        beside = bids if up and len(bids) <= _FEW else []
        placed, known = both(lambda: dict(self._bids(project, bids, since)), lambda: self._machines(project, beside))
        found = {**placed, **dict(self._rows(RESERVATION, project, reserved, since))}
        live = [order.fid for order in found.values() if not order.has_ended and order.status != "Open"]
        machines = {**known, **self._machines(project, [fid for fid in live if fid not in known])}
        for fid in live:
            found[fid] = attrs.evolve(found[fid], machines=machines.get(fid, ()))
        found.update(self._rows(CPU, project, cpu, since))
        self._seen.update((fid, (time.monotonic(), order)) for fid, order in found.items())
        return found

    def _bids(self, project: str, fids: Sequence[str], since: float) -> Iterator[tuple[str, Order]]:
        if len(fids) > _FEW:
            yield from self._rows(BID, project, fids, since)
            return
        for fid in fids:
            try:
                yield fid, _order(BID, self._api.get(f"spot/bids/{fid}"))
            except NotFoundError:
                continue

    def _rows(self, kind: str, project: str, fids: Sequence[str], since: float) -> Iterator[tuple[str, Order]]:
        left = set(fids)
        if not left:
            return
        for row in self._newest(kind, project, since):
            if row["fid"] in left:
                left.discard(row["fid"])
                yield row["fid"], _order(kind, row)
                if not left:
                    return

    def _machines(self, project: str, fids: Sequence[str]) -> dict[str, tuple[Machine, ...]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for kind, query in ((BID, "bid_fid_in"), (RESERVATION, "reservation_fid_in")):
            mine = [fid for fid in fids if kind_of(fid) == kind]
            for start in range(0, len(mine), _BATCH):
                batch = {query: ",".join(mine[start : start + _BATCH])}
                for row in self._api.pages("instances", project=project, **batch):
                    found.setdefault(row["bid"] or row["reservation"], []).append(row)
        live = {fid: [row for row in rows if row["status"] != "STATUS_TERMINATED"] for fid, rows in found.items()}
        return {fid: tuple(_machine(row) for row in sorted(rows, key=_place)) for fid, rows in live.items()}

    def end(self, fid: str) -> bool:
        """End an order and its machines; False when it had ended; NotFoundError for a bid that never was."""
        from flow_core.errors import ConfigError, ConflictError

        kind = kind_of(fid)
        try:
            if kind == RESERVATION:
                self._api.patch(order_path(fid), {"paused": True})  # what is not used is credited
                return True
            if self._api.delete(order_path(fid)):
                return True
        except (ConflictError, ConfigError):  # an order that has ended answers so
            return False
        if kind == BID:
            self._api.get(f"spot/bids/{fid}")
        return False

    def pause(self, fid: str, paused: bool) -> None:
        """Stop an order's machines, which keep their disks, or have them started again."""
        self._api.patch(order_path(fid), {"paused": paused})

    def set_volumes(self, fid: str, volumes: Sequence[str]) -> None:
        """Give a paused order other volumes."""
        self._api.patch(order_path(fid), {"volumes": list(volumes)})


def _is_own(row: Mapping[str, Any]) -> bool:
    """Whether an instance may be an order by itself: no bid's, and of our name, maybe with a number behind it."""
    return row.get("bid") is None and _NUMBERED.fullmatch(row["name"]) is not None


def _order(kind: str, row: Mapping[str, Any]) -> Order:
    machines = (_machine(row),) if kind == CPU else ()
    numbered = _NUMBERED.fullmatch(row["name"]) if kind == CPU else None
    return Order(
        fid=row["fid"],
        kind=kind,
        name=numbered[1] if numbered else row["name"],
        status=row["status"],
        created_at=_seconds(row["created_at"]),
        quantity=int(row.get("instance_quantity") or 1),
        type_fid=row["instance_type"],
        region=row.get("region") or "",
        limit=dollars(row.get("limit_price")),
        machines=machines,
    )


def _machine(row: Mapping[str, Any]) -> Machine:
    host, port = _address(row.get("ssh_destination"))
    return Machine(row["fid"], row["name"], row["status"], host, port, row.get("private_ip"))


def _address(text: str | None) -> tuple[str | None, int]:
    """Read ``host``, ``host:port`` or ``[v6]:port``."""
    if not text:
        return None, 22
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return text.strip("[]"), 22


def _place(row: Mapping[str, Any]) -> tuple[int, str, str]:
    """Machines are ranked by the number behind their name, else by age."""
    number = re.search(r"-(\d+)$", row["name"])
    return (int(number[1]) if number else 1 << 30, row["created_at"], row["fid"])


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
