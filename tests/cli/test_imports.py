"""What a start may cost: modules that a command must not import."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Program, Site

_ASK = (
    "import json, sys; from flow_core.cli import run; before = set(sys.modules); status = run(sys.argv[1:]); "
    "sys.stderr.write(json.dumps([status, sorted(sys.modules)]))"
)
_HEAVY = {
    "yaml",
    "cattrs",
    "requests",
    "structlog",
    "sqlite3",
    "asyncio",
    "rich",
    "pluggy",
    "keyring",
    "psutil",
    "pathspec",
}


def _imported(flow: Program, *arguments: str) -> set[str]:
    argv = [sys.executable, "-c", _ASK, *arguments]
    done = subprocess.run(argv, cwd=flow.folder, env=dict(flow.environ), capture_output=True, check=True)
    status, modules = json.loads(done.stderr.decode().splitlines()[-1])
    assert status == 0
    return set(modules)


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy_and_no_command(flow: Program, site: Site, argument: str) -> None:
    site.install(
        "flow-theirs",
        {"flow.commands": {"theirs": "theirs_plugin:command"}, "flow.plugins": {"watch": "theirs_plugin"}},
        {"theirs_plugin": "raise SystemExit('imported')"},
    )
    modules = _imported(flow, argument)
    assert modules & {*_HEAVY, "attr"} == set()
    assert {name for name in modules if name.startswith("flow_core.cli.commands")} == set()
    assert {name for name in modules if name.startswith(("flow_core.client", "flow_local", "flow_core.spec"))} == set()


@pytest.mark.parametrize("arguments", [("status",), ("status", "--json"), ("status", "--all")])
def test_a_status_of_ended_tasks_opens_no_provider_and_imports_nothing_heavy(
    flow: Program, arguments: tuple[str, ...]
) -> None:
    flow("run", "-q", "true")
    modules = _imported(flow, *arguments)
    assert modules & (_HEAVY - {"sqlite3"}) == set()
    assert {
        name for name in modules if name.startswith(("flow_local", "flow_core.faces", "flow_core.hookspecs"))
    } == set()


def test_a_list_of_plugins_imports_none(flow: Program, site: Site) -> None:
    site.install(
        "flow-theirs", {"flow.providers": {"x": "theirs_plugin:X"}}, {"theirs_plugin": "raise SystemExit('imported')"}
    )
    modules = _imported(flow, "plugins", "list")
    assert modules & (_HEAVY - {"sqlite3"}) == set()


def test_nothing_is_imported_from_the_working_folder(flow: Program) -> None:
    for name in ("click", "yaml", "flow_local"):
        (flow.folder / f"{name}.py").write_text("raise SystemExit('imported from here')")
    program = subprocess.run(
        [
            sys.executable,
            "-P" if sys.version_info >= (3, 11) else "-I",
            "-c",
            "from flow_core.__main__ import main; main()",
        ],
        cwd=flow.folder,
        env=dict(flow.environ),
        capture_output=True,
        check=False,
    )
    assert b"imported from here" not in program.stdout + program.stderr
