"""The wheels of this repository, each built from its source distribution, once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from .machine import Machine

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("flow_*/pyproject.toml"))


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel of every project."""
    machine = Machine.make(tmp_path_factory.mktemp("workshop"))
    found = machine.folder / "dist"
    machine.pip("install", "hatchling>=1.24")
    build = (
        "import os, sys, hatchling.build as b; d = sys.argv[1]; [(os.chdir(p), b.build_sdist(d)) for p in sys.argv[2:]]"
    )
    found.mkdir()
    machine.python("-c", build, str(found), *map(str, [ROOT, *PLUGINS, *EXAMPLES]))
    sources = map(str, sorted(found.glob("*.tar.gz")))
    machine.pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(found), *sources)
    return found


def wheels(dist: Path, *projects: Path) -> list[str]:
    """Return the wheels of projects, as pip takes them; core's is the one of the whole repository."""
    names = ["flow_core" if project == ROOT else project.name for project in projects]
    return [str(next(dist.glob(f"{name}-*.whl"))) for name in names]
