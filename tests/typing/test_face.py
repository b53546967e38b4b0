"""The public names are the same for a reader, for Python and for a type checker, by either name of the module."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import flow
import flow_core

CORE = Path(flow_core.__file__)


def shown_to_checkers() -> list[str]:
    """Return the names that ``flow_core`` imports for type checkers."""
    (block,) = [node for node in ast.parse(CORE.read_text("utf-8")).body if isinstance(node, ast.If)]
    return [name.asname or name.name for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names]


def test_what_is_public_is_what_checkers_see_and_what_is_found() -> None:
    found = [*" ".join(flow_core._HOMES.values()).split(), *flow_core._MODULES]

    assert len(set(flow_core.__all__)) == len(flow_core.__all__)
    assert sorted(shown_to_checkers()) == sorted(flow_core.__all__) == sorted(found)


def test_flow_has_the_names_of_flow_core() -> None:
    assert flow.__all__ == flow_core.__all__
    assert set(flow.__all__) <= set(dir(flow))
    assert [name for name in flow.__all__ if getattr(flow, name) is not getattr(flow_core, name)] == []


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    """A program that uses every public name by both names of the module."""
    path = tmp_path / "everything.py"
    named = "\n".join(f"print({module}.{name})" for module in ("flow", "flow_core") for name in flow_core.__all__)
    path.write_text(f"import flow\nimport flow_core\n\n{named}\n")
    return path


def test_mypy_knows_every_public_name(everything: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run([*argv, str(everything)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_pyright_knows_every_public_name_and_what_is_right_about_them(everything: Path) -> None:
    right = sorted(Path(__file__).parent.glob("*_right.py"))
    argv = [sys.executable, "-m", "basedpyright", "--outputjson", "--level", "error", "--pythonpath", sys.executable]
    done = subprocess.run([*argv, str(everything), *map(str, right)], capture_output=True, text=True, check=False)

    assert json.loads(done.stdout)["generalDiagnostics"] == []
