"""What `flow plugins new` writes, installed by pip beside flow-core from its wheel: the tutorial, and every kind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from flow_core.plugins._scaffold import KINDS

from .reader import ROOT, follow, tutorial

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(900)]


@attrs.frozen
class Author:
    """Somebody with an environment that has flow-core, and a folder."""

    work: Path
    environ: dict[str, str]

    def type(self, command: str) -> str:
        """Run a command line to its end and return what it printed; it must succeed."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.work,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def author(tmp_path_factory: pytest.TempPathFactory) -> Author:
    folder = tmp_path_factory.mktemp("author")
    (folder / "work").mkdir()
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    path = f"{folder / 'venv' / 'bin'}:{os.environ['PATH']}"
    author = Author(folder / "work", {**kept, "PATH": path, "HOME": str(folder), "LC_ALL": "C.UTF-8"})
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    author.type(f"pip --quiet wheel --no-deps --wheel-dir ../dist {ROOT}")
    author.type("pip --quiet install ../dist/*.whl")
    return author


def test_the_tutorial_can_be_followed_and_ends_green_in_the_kit(author: Author) -> None:
    for steps in tutorial():
        follow(steps, author.work, author.environ)

    assert " passed" in author.type("pytest -q flow-acme")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "provider"])
def test_what_the_scaffold_writes_is_installed_and_green(author: Author, kind: str) -> None:
    name = f"my-{kind}"
    author.type(f"flow plugins new {kind} {name} && pip --quiet install -e './flow-{name}[test]'")

    assert f"'{name}' (flow-{name} 0.1.0): imports in" in author.type("flow plugins doctor")
    author.type(f"cd flow-{name} && mypy src tests && pytest -q")
    author.type(f"pip --quiet uninstall --yes flow-{name}")
