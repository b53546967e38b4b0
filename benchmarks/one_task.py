"""One local ``true``, from the submit until its caller sees the end, beside a spawn of the same shell."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Spread, in_turns, timed

if TYPE_CHECKING:
    from benchmarks.place import Place

WARM, COLD = 0.008, 0.050  # seconds
RAW = ("/bin/sh", "-c", "true")
_PATIENCE = 10.0  # seconds until a queue must have left


def measure(place: Place) -> list[Figure]:
    """Return the figures."""
    warm = in_turns(place.rounds(150), {"floor": spawn, "ours": submit_and_wait}, warm_up=5)
    cold: dict[str, list[float]] = {"floor": [], "ours": []}
    for _ in range(place.rounds(10)):
        _until_nobody_serves()
        cold["floor"].append(spawn())
        cold["ours"].append(submit_and_wait())
    return [
        Figure("one task, warm", "submit -> seen, queue there", "spawn", warm["floor"], warm["ours"], "median", WARM),
        Figure(
            "one task, cold",
            "submit -> seen, no queue yet",
            "spawn",
            Spread(tuple(cold["floor"])),
            Spread(tuple(cold["ours"])),
            "median",
            COLD,
        ),
    ]


def spawn() -> float:
    """Return the seconds of starting the shell and waiting for it."""
    return timed(lambda: subprocess.run(RAW, check=True))


def submit_and_wait() -> float:
    """Return the seconds of a task. Raises AssertionError when it fails."""
    import flow_core as flow

    started = time.perf_counter()
    status = flow.submit("true").wait()
    seconds = time.perf_counter() - started
    if status != 0:
        raise AssertionError(f"true exited with {status}")
    return seconds


def _until_nobody_serves() -> None:
    from flow_core.settings import paths

    bell = Path(paths().state_dir / "local" / "bell")
    deadline = time.monotonic() + _PATIENCE
    while bell.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{bell} is still there: the queue has not left")
        time.sleep(0.05)
    time.sleep(0.2)  # its interpreter ends
