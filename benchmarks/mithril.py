"""From submit to a command's first line on machines that boot, new and kept: ``python -m benchmarks.mithril [ROUNDS]``.

The platform is flow_mithril's own double, which needs root; its machines are containers of this one, so a boot takes no
time worth naming. ``running`` is when the platform said that a new machine runs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from flow_mithril.testing import Double, Settings

_CONFIG = "default: m\nprofiles:\n  m: {provider: mithril, self_release: key, defaults: {instance_type: 1xa100}}\n"


def _run(double: Double, work: Path, *words: str) -> dict[str, float]:
    began = time.time()
    argv = [sys.executable, "-m", "flow_core", "run", "-q", *words, "date +%s.%N; sleep 0.1"]
    said = subprocess.run(argv, cwd=work, capture_output=True, text=True, check=True)
    first = float(said.stdout.split()[0])
    with double.world.lock:
        events = list(double.world.all("instances"))[-1]["_events"]
    up = next(event["timestamp"] for event in events if event["status"] == "STATUS_RUNNING")
    running = datetime.fromisoformat(up.replace("Z", "+00:00")).timestamp()
    return {"submit": first - began, "running": first - running}


def main(rounds: int) -> None:
    """Print the medians, and what else the machine was doing."""
    with Double(Settings(start_seconds=0.0)) as double, tempfile.TemporaryDirectory() as folder:
        home, work = Path(folder, "home"), Path(folder, "work")
        home.mkdir(0o700)
        work.mkdir()
        os.environ.update(FLOW_HOME=str(home), MITHRIL_API_URL=double.url, MITHRIL_API_KEY=double.settings.api_key)
        (home / "config.yaml").write_text(_CONFIG)
        turns = [(_run(double, work, "--keep", "10m"), _run(double, work)) for _ in range(rounds)]
    cold, warm = ([turn[place] for turn in turns] for place in (0, 1))
    for name, key, found in (("new", "submit", cold), ("new", "running", cold), ("kept", "submit", warm)):
        values = [one[key] for one in found]
        print(
            f"{name:4} {key:>7} -> first line: {statistics.median(values):.2f} s ({min(values):.2f}-{max(values):.2f})"
        )
    print("load", *(f"{value:.1f}" for value in os.getloadavg()), "cores", os.cpu_count())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
