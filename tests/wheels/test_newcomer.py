"""The newcomer's first minute, with the README's own words, in a fresh environment from a copy of what git holds."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(600)]
needs_first = pytest.mark.usefixtures("first")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone would hold: the files git knows, as they are now."""
    target = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A fresh virtual environment that is active, and a home without anything."""
    folder = tmp_path_factory.mktemp("env")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PIP_", "LC_")) or name in ("LANG", "SSL_CERT_FILE")
    }
    return {
        **kept,
        "PATH": f"{folder / 'venv' / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "VIRTUAL_ENV": str(folder / "venv"),
    }


def first_command() -> str:
    """The first command that the README shows."""
    found = re.search(r"^    (pip install \. .*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert found, "the README no longer shows the first command"
    return found[1]


@pytest.fixture(scope="module")
def first(clone: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What the README's first command did."""
    words = ["bash", "-c", first_command()]
    return subprocess.run(words, cwd=clone, env=environ, capture_output=True, text=True, check=False)


def test_the_readmes_first_command_runs_a_task(first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1] == platform.node()


@needs_first
@pytest.mark.parametrize("command", [["flow"], ["python", "-m", "flow_core"]])
def test_both_names_of_the_command_work(environ: dict[str, str], command: list[str]) -> None:
    words = [*command, "status"]
    done = subprocess.run(words, env=environ, cwd=environ["HOME"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stdout


@needs_first
def test_import_flow_is_flow_core(environ: dict[str, str]) -> None:
    code = "import flow; print(flow.run('echo from python', stream=False).status)"
    done = subprocess.run(
        ["python", "-c", code], env=environ, cwd=environ["HOME"], capture_output=True, text=True, check=False
    )

    assert done.stdout == "succeeded\n", done.stderr


@needs_first
def test_the_packages_bring_types_and_licence(environ: dict[str, str]) -> None:
    code = "import flow_core, flow, flow_local, pathlib; print(*(pathlib.Path(m.__file__).with_name('py.typed').is_file() for m in (flow_core, flow, flow_local)))"
    done = subprocess.run(["python", "-c", code], env=environ, capture_output=True, text=True, check=True)

    assert done.stdout == "True True True\n"
