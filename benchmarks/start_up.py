"""``flow --version`` and ``flow --help`` with 20 plugins installed, beside the same interpreter that does nothing."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, in_turns
from benchmarks.place import Place, flow_command, python_command, run_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLUGINS = 20
BUDGET = 8.0


def measure(place: Place) -> list[Figure]:
    """Return the figures."""
    with installed(place.folder / "site", PLUGINS):
        found = in_turns(
            place.rounds(25),
            {
                "floor": lambda: run_time(python_command("pass")),
                "--version": lambda: run_time(flow_command("--version")),
                "--help": lambda: run_time(flow_command("--help")),
                "import": lambda: run_time(python_command("import flow")),
            },
        )
    budgets = {"--version": BUDGET, "--help": BUDGET, "import": None}
    return [
        Figure(
            f"start-up {name}",
            f"flow {name}, {PLUGINS} plugins",
            "python -c pass",
            found["floor"],
            found[name],
            budget=budget,
        )
        for name, budget in budgets.items()
    ]


@contextmanager
def installed(site: Path, count: int) -> Iterator[None]:
    """Have ``count`` distributions on the path, each with a provider and a command that must not be imported."""
    for number in range(count):
        _distribution(site, f"flow-fake{number}")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(site), *([before] if before else [])])
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _distribution(site: Path, name: str) -> None:
    module = name.replace("-", "_")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    info.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: Nothing at all.\nRequires-Dist: flow-core>=1,<2\n"
    )
    info.joinpath("entry_points.txt").write_text(
        f"[flow.providers]\n{module} = {module}:Provider\n[flow.commands]\n{module} = {module}:command\n"
    )
    site.joinpath(f"{module}.py").write_text("raise SystemExit('a plugin that nobody used was imported')\n")
