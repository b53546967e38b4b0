"""``python -m benchmarks``: measure all budgets, or some, and print one table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, table
from benchmarks.place import fresh_place

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = (
    "start_up",
    "task_list",
    "one_task",
    "many_tasks",
    "log_latency",
    "log_volume",
    "hook_call",
    "functions",
    "slurm",
)


def main(arguments: Sequence[str]) -> int:
    """Return 1 when a budget was missed or bytes were wrong."""
    asked = _parser().parse_args(arguments)
    figures: list[Figure] = []
    for name in NAMES if asked.only is None else asked.only:
        print(f"{name} …", file=sys.stderr, flush=True)
        with fresh_place(asked.quick) as place:
            figures += import_module(f"benchmarks.{name}").measure(place)
    print(machine())
    if figures:
        print(table(figures), end="")
    if asked.peers:
        _peers(asked.peers, asked.peers_only)
    if asked.json:
        asked.json.write_text(
            json.dumps({"machine": machine(), "figures": [f.as_dict() for f in figures]}, indent=2) + "\n"
        )
    return int(any(figure.verdict in ("missed", "wrong") for figure in figures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=NAMES, metavar="NAME", help=f"one of {', '.join(NAMES)}; repeatable"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to see that it works, not to quote")
    parser.add_argument(
        "--peers", type=Path, metavar="FOLDER", help="measure other tools too, in environments made in FOLDER"
    )
    parser.add_argument(
        "--peers-only",
        action="append",
        choices=("commands", "functions", "slurm"),
        help="of the other tools; repeatable",
    )
    parser.add_argument("--no-budgets", dest="only", action="store_const", const=[], help="the other tools only")
    return parser


def _peers(folder: Path, only: Sequence[str] | None) -> None:
    from benchmarks import peers_slurm
    from benchmarks.peers import PEERS, measure
    from benchmarks.peers_functions import FUNCTION_PEERS

    tables = {
        "commands": lambda: measure(folder, PEERS),
        "functions": lambda: measure(folder, FUNCTION_PEERS),
        "slurm": lambda: peers_slurm.measure(folder),
    }
    for title in only or tables:
        print(f"{title} …", file=sys.stderr, flush=True)
        print(f"\n{title}, other tools in turns; {machine()}")
        print(tables[title](), end="", flush=True)


def machine() -> str:
    """Return one line on where this is measured: ratios hold elsewhere, seconds do not."""
    cores = len(os.sched_getaffinity(0))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    system = f"{platform.machine()}, {cores} cores, Linux {platform.release()}"
    return f"{system}, Python {platform.python_version()}, load {load}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
