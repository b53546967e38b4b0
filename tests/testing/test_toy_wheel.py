"""A third party's provider, installed from its wheel beside flow-core's wheel and nothing else, keeps the contract."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOY = ROOT / "examples" / "flow_toy"


def run(*argv: str | Path, cwd: Path) -> str:
    """Run a command in an environment without this repository; return what it prints."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FLOW_", "PYTEST"))}
    done = subprocess.run(argv, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wheel(project: Path, folder: Path) -> Path:
    """Build a project's wheel."""
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", folder, project, cwd=folder)
    (built,) = folder.glob(f"{project.name if project != ROOT else 'flow_core'}-*.whl")
    return built


@pytest.mark.wheels
@pytest.mark.timeout(600)
def test_the_toy_provider_is_green_from_its_wheel(tmp_path: Path) -> None:
    wheels = [wheel(project, tmp_path) for project in (ROOT, TOY)]
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", *wheels, "pytest", cwd=tmp_path)
    tests = TOY / "tests" / "test_conformance.py"

    said = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, tests, cwd=tmp_path)

    assert " passed" in said
    assert "flow_toy" in run(python, "-c", "import flow_toy; print(flow_toy.__file__)", cwd=tmp_path)


def test_the_toy_provider_is_under_100_lines() -> None:
    source = (TOY / "src" / "flow_toy" / "__init__.py").read_text(encoding="utf-8")

    assert len(source.splitlines()) < 100
