"""What the command line imports before it does anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from flow_core.client import Flow

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = frozenset({"requests", "structlog", "cattrs", "sqlite3", "asyncio", "yaml", "rich", "cloudpickle", "psutil"})
PLUGINS = 20
SCRIPT = """
import json, sys
sys.argv[0] = "flow"
from flow_core.__main__ import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def modules_of(*arguments: str) -> set[str]:
    """Return the modules that a command line ends with."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install distributions whose modules fail as soon as they are imported."""
    site = tmp_path / "site"
    for number in range(PLUGINS):
        info = site / f"flow_fake{number}-1.0.dist-info"
        info.mkdir(parents=True)
        info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: flow-fake{number}\nVersion: 1.0\n")
        groups = ("flow.providers", "flow.commands", "flow.plugins", "flow.frontends", "flow.result_stores")
        lines = "".join(f"[{group}]\nfake{number} = flow_fake{number}:thing\n" for group in groups)
        info.joinpath("entry_points.txt").write_text(lines)
        site.joinpath(f"flow_fake{number}.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.usefixtures("home", "plugins")
@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("run", "--help"), ("plugins", "list")])
def test_help_version_and_lists_import_nothing_heavy_and_no_plugin(arguments: tuple[str, ...]) -> None:
    found = modules_of(*arguments)
    assert not HEAVY & found
    assert not [name for name in found if name.startswith(("flow_fake", "flow_local"))]


@pytest.mark.usefixtures("home", "plugins")
def test_the_version_imports_no_part_that_tasks_need() -> None:
    assert not {"flow_core.client", "flow_core.journal", "flow_core.spec", "flow_core.types"} & modules_of("--version")


@pytest.mark.usefixtures("home")
def test_a_status_without_live_tasks_imports_no_provider_and_reads_no_task_file() -> None:
    Flow().session.journal.open_tasks()
    found = modules_of("status")
    assert not (HEAVY - {"sqlite3"}) & found
    assert (
        not {"flow_local", "flow_core.faces._provider", "flow_core.spec", "flow_core.bundle", "flow_core.nodes"} & found
    )
    assert not {"flow_core.types._config", "flow_core.types._provider", "flow_core.client._submit", "secrets"} & found


def test_importing_flow_imports_none_of_its_parts() -> None:
    script = "import sys, flow; print(*(name for name in sys.modules if name.startswith('flow_core.')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "flow_core._lazy\n"
