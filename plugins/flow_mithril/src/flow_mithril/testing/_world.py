"""What the service knows: its rows, which are the API's own records with a few names of our own that begin with ``_``."""

from __future__ import annotations

import secrets
import string
import threading
import uuid
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from flow_mithril.testing._clock import Clock
from flow_mithril.testing._faults import Fault
from flow_mithril.testing._machines import Machines
from flow_mithril.testing._refusal import Refusal
from flow_mithril.testing._settings import Settings

Row = dict[str, Any]

# (fid, name, CPUs, memory in GB, GPUs, GPU, its memory in GB, dollars per hour, instances in its one market). The fids
# and names are the service's own (flow-compute 3.28.2 asks for prices by fids that it has built in).
_TYPES = [
    ("it_RrgkIZz6c9BZu5gi", "a100-80gb.sxm.1x", 30, 225, 1, "a100", 80, 2, 8),
    ("it_TiAPxzKNi4xO0IAr", "a100-80gb.sxm.2x", 60, 450, 2, "a100", 80, 4, 8),
    ("it_4TugeYWOov5FllEf", "a100-80gb.sxm.4x", 120, 900, 4, "a100", 80, 8, 8),
    ("it_Sg1nDx1I8NFep60J", "a100-80gb.sxm.8x", 240, 1800, 8, "a100", 80, 16, 8),
    ("it_XqgKWbhZ5gznAYsG", "h100-80gb.sxm.8x", 168, 1814, 8, "h100", 80, 24, 8),
    ("it_7RHoQUztab9lU9Ne", "h200.8x", 168, 1814, 8, "h200", 141, 32, 8),
]
_CPU_TYPES = [("", "cpu.4x", 4, 16, 0, "", 0, 1, 8), ("", "cpu.16x", 16, 64, 0, "", 0, 2, 8)]
ALPHABET = string.ascii_letters + string.digits


def new_fid(prefix: str) -> str:
    return f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(16))}"


def dollars(amount: Decimal) -> str:
    return f"${amount:.2f}"


def amount(text: str) -> Decimal:
    """Return the dollars of ``"$1,234.50"``."""
    return Decimal(text.removeprefix("$").replace(",", ""))


def shown(row: Row) -> Row:
    """Return a row without our own names."""
    return {name: value for name, value in row.items() if not name.startswith("_")}


class World:
    """All rows, under one lock. ``rows[table][fid]``."""

    def __init__(self, settings: Settings, machines: Machines) -> None:
        self.settings = settings
        self.machines = machines
        self.lock = threading.RLock()
        self.clock = Clock()
        self.rows: dict[str, dict[str, Row]] = {}
        self.answered: dict[str, tuple[int, Any, dict[str, str]]] = {}
        self.requests: list[Row] = []
        self.faults: list[Fault] = []
        self._account()
        self._catalog()

    def table(self, name: str) -> dict[str, Row]:
        return self.rows.setdefault(name, {})

    def all(self, table: str, /, **where: Any) -> list[Row]:
        """Return the rows of a table, the oldest first, whose fields are ``where`` (a value of None matches all)."""
        wanted = {field: value for field, value in where.items() if value is not None}
        return [row for row in self.table(table).values() if all(row.get(f) == v for f, v in wanted.items())]

    def one(self, table: str, fid: str, what: str) -> Row:
        """Return one row; refuse with 404."""
        row = self.table(table).get(fid)
        if row is None:
            raise Refusal(404, f"{what} not found")
        return row

    def add(self, name: str, row: Row) -> Row:
        self.table(name)[row["fid"]] = row
        return row

    def project(self, fid: str) -> str:
        """Return the fid of a project that is the caller's; refuse with 404."""
        return str(self.one("projects", fid, "Project")["fid"])

    def kind(self, named: str) -> str:
        """Return the fid of an instance type that is named by its fid or its name."""
        kinds = {**self.table("types"), **self.table("cpu_types")}
        return next((fid for fid, row in kinds.items() if named in (fid, row["name"])), named)

    def market(self, instance_type: str, region: str) -> Row:
        """Return the spot market of a type in a region; refuse with 404."""
        found = self.all("auctions", instance_type=instance_type, region=region)
        if not found:
            raise Refusal(404, "Auction not found")
        return found[0]

    def event(self, row: Row, event: str, **more: Any) -> None:
        """Add to the history of a bid or a reservation."""
        row["_events"].append({"timestamp": self.clock.stamp(), "event_type": event, **more})

    def _account(self) -> None:
        now = self.clock.stamp
        self.me: Row = {
            "id": str(uuid.uuid4()),
            "fid": new_fid("user"),
            "email": "tests@example.org",
            "user_name": "tests",
            "organization_id": str(uuid.uuid4()),
            "organization_role": "admin",
        }
        self.add("projects", {"fid": new_fid("proj"), "name": self.settings.project, "created_at": now()})
        first = {"fid": new_fid("apikey"), "name": "first", "created_at": now(), "expires_at": now(after=30e6)}
        self.add("api_keys", {**first, "deactivated_at": None, "snippet": "fkey_...", "_secret": self.settings.api_key})

    def _catalog(self) -> None:
        for name in dict.fromkeys((self.settings.region, "us-central1-b", "eu-central1-a")):
            shares = name != "eu-central1-a"
            region = {"id": str(uuid.uuid4()), "name": name, "block_storage_enabled": True, "k8s_enabled": False}
            size = {"max_volume_size_tb": 32, "max_volume_name_length": 64}
            self.table("regions")[name] = {**region, "fileshare_storage_enabled": shares, **size}
        for said in _TYPES:
            self._market(self.add("types", _type(*said)), said[-1])
        for said in _CPU_TYPES:
            self.add("cpu_types", {**_type(*said), "_capacity": said[-1]})
        image = {"image_version_fid": new_fid("imgver"), "image_version_name": "ubuntu-22.04", "os": "Ubuntu 22.04"}
        more = {"kernel": "5.15", "stable": True, "supported_regions": list(self.table("regions"))}
        gpu = {"nvidia_driver": "535", "cuda": "12.2", "deactivated_at": None}
        self.image = {**image, **more, **gpu}

    def _market(self, kind: Row, capacity: int) -> None:
        row = {"fid": new_fid("auc"), "instance_type": kind["fid"], "region": self.settings.region}
        price = Decimal(str(kind["hourly_price"])) / 2
        own = {"_capacity": capacity, "_price": price, "_prices": [(self.clock.stamp(), price)]}
        self.add("auctions", {**row, "adjustable_memory": False, **own})


def _type(fid: str, name: str, cpus: int, memory: int, gpus: int, gpu: str, gpu_memory: int, price: int, _: int) -> Row:
    return {
        "fid": fid or new_fid("it"),
        "name": name,
        "num_cpus": cpus,
        "cpu_type": "x86_64",
        "ram_gb": memory,
        "num_gpus": gpus,
        "gpu_type": gpu,
        "gpu_memory_gb": gpu_memory,
        "gpu_socket": "sxm" if gpus else "",
        "local_storage_gb": 1000,
        "network_type": None,
        "ib_count": 0,
        "bridge_count": 0,
        "hourly_price": float(price),
    }


def paged(rows: Iterable[Row], query: Row, by: dict[str, Callable[[Row], Any]], key: str = "data") -> Row:
    """Return one page: sorted as asked (else the oldest first), at most ``limit`` (else 20) rows."""
    order = by.get(query.get("sort_by", ""), lambda row: row.get("created_at", ""))
    ranked = sorted(rows, key=order, reverse=query.get("sort_dir") == "desc")
    cursor = query.get("next_cursor", "")
    start = 0
    if cursor:
        places = [index for index, row in enumerate(ranked) if row.get("fid", row.get("instance_fid")) == cursor]
        if not places:
            raise Refusal(400, "Invalid cursor")
        start = places[0] + 1
    limit = query.get("limit", 20)
    page = ranked[start : start + limit]
    more = len(ranked) > start + limit
    last = page[-1].get("fid", page[-1].get("instance_fid")) if more else None
    return {key: [shown(row) for row in page], "next_cursor": last}
