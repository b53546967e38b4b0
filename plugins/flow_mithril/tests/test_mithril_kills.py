"""Clients that are killed while they submit: never two orders for one request, never an order that nobody lists."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from flow_core import Flow
from flow_core.types import LIVE_STATES, parse_ref
from flow_mithril._commands import mithril
from flow_mithril.testing import Double, Settings

KILLED = 300
TABLES = ("bids", "reservations", "instances")

# Forks a client for each line, after it has learned from the first what to import: a submit then takes milliseconds, and
# what is killed is nothing but a submit. One that comes to its end in its time is no fault.
NURSERY = """
import importlib, json, os, signal, sys, time
from contextlib import suppress

def client(wants, done):
    import flow
    flow.submit("true", **wants)
    os.write(done, json.dumps(sorted(sys.modules)).encode())

def born(wants):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            client(wants, write)
        finally:
            os._exit(0)
    os.close(write)
    return pid, read

for line in sys.stdin:
    seconds, wants = json.loads(line)
    began = time.monotonic()
    pid, end = born(wants)
    if seconds is None:
        with open(end) as learned:
            names = json.loads(learned.read())
        took = time.monotonic() - began
        for name in names:
            with suppress(ImportError):  # what a library made without a file
                importlib.import_module(name)
    else:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        os.close(end)
        took = seconds
    os.waitpid(pid, 0)
    print(took, flush=True)
"""


@pytest.fixture
def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    """A double with room for all, whose machines never say where they are: nothing happens to them."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (tmp_path / "work").mkdir()
    profile = {"provider": "mithril", "settle": "1s", "self_release": "client"}
    (home / "config.yaml").write_text(yaml.safe_dump({"default": "m", "profiles": {"m": profile}}))
    with Double(Settings(boot=False, spot_quota=10**6)) as double:
        for kind in ("h100-80gb.sxm.8x", "h200.8x", "cpu.4x"):
            double.control("capacity", instance_type=kind, capacity=10**6)
        monkeypatch.setenv("FLOW_HOME", str(home))
        monkeypatch.setenv("MITHRIL_API_URL", double.url)
        monkeypatch.setenv("MITHRIL_API_KEY", double.settings.api_key)
        yield double
    assert double.mistakes == []


def live(double: Double) -> Counter[tuple[str, str]]:
    """The orders that are not ended, by the name of their request and their id."""
    ended = ("Terminated", "Canceled", "Ended", "STATUS_TERMINATED")
    with double.world.lock:
        hidden = {row["fid"] for row in double.world.all("reservations") if row["_hidden"]}
        rows = [row for table in TABLES for row in double.world.all(table)]
        rows = [row for row in rows if row["fid"] not in hidden and row["status"] not in ended]
        # Machines of bids and of reservations are these orders'; one without GPUs is an order by itself.
        own = [row for row in rows if not row.get("bid") and row.get("reservation") in (None, *hidden)]
        return Counter((row["name"], row["fid"]) for row in own)


def test_of_hundreds_of_clients_killed_at_any_instant_of_a_submit_each_has_one_order_or_none(
    market: Double, tmp_path: Path
) -> None:
    end = (datetime.now(timezone.utc) + timedelta(hours=5)).isoformat()
    kinds: list[dict[str, Any]] = [
        {"instance_type": "8xh100"},
        {"instance_type": "4xcpu"},
        {"instance_type": "8xh200", "options": {"mithril": {"reservation_end": end}}},
    ]
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path / "work",
        env=os.environ,
    ) as nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None

        def told(seconds: float | None, wants: dict[str, Any]) -> float:
            print(json.dumps([seconds, wants]), file=nursery.stdin, flush=True)
            return float(nursery.stdout.readline())  # type: ignore[union-attr]

        told(None, kinds[0])
        whole = max(told(None, wants) for wants in kinds)
        dice = random.Random()
        for number in range(KILLED):
            told(dice.uniform(0.2, 1.2) * whole, kinds[number % 3])
        nursery.stdin.close()

    flow = Flow(cwd=tmp_path / "work")
    deadline = time.monotonic() + 120
    while flow.session.journal.unfinished():
        assert time.monotonic() < deadline, "what became of the submits is never known"
        assert flow.refresh() == {}
        time.sleep(0.5)
    tasks = flow.tasks(limit=None)
    orders = live(market)
    known = Counter(parse_ref(task.row.ref)[2].id for task in tasks if task.row.ref and task.row.state in LIVE_STATES)
    assert set(orders.values()) == {1}
    assert max(Counter(name for name, _ in orders).values()) == 1
    assert known == Counter(fid for _, fid in orders)
    placed = len(orders) - 4
    assert 0 < placed < KILLED  # killed before and after
    assert CliRunner().invoke(mithril, ["sweep"]).stdout == ""
