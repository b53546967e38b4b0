"""`flow plugins new`: whole projects, nothing overwritten, names that can be entry point, distribution and module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flow_core.errors import ConfigError, ConflictError
from flow_core.plugins._metadata import accepts, core_version
from flow_core.plugins._scaffold import KINDS, check_name, create

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture(params=sorted(KINDS))
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    create(request.param, "big-sky", tmp_path / "new")
    return tmp_path / "new"


def test_a_project_has_everything_it_needs(project: Path) -> None:
    found = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}

    assert found == {
        ".github/workflows/test.yml",
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/flow_big_sky/__init__.py",
        "src/flow_big_sky/py.typed",
        "tests/test_flow_big_sky.py",
    }


def test_nothing_of_a_template_is_left_unfilled(project: Path) -> None:
    import re

    for path in project.rglob("*"):
        if path.is_file():
            assert not re.search(r"@[A-Z_]+@", path.read_text(encoding="utf-8")), path


def test_its_metadata_name_the_entry_point_and_a_range_that_holds_this_core(project: Path) -> None:
    meta = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    ((group, points),) = meta["entry-points"].items()
    assert group in {kind.group for kind in KINDS.values()}
    assert list(points) == ["big-sky"]
    core = next(line for line in meta["dependencies"] if line.startswith("flow-core"))
    assert accepts(core.removeprefix("flow-core"), core_version())
    assert "<" in core


def test_its_entry_point_names_what_the_module_has(project: Path) -> None:
    meta = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((_, points),) = meta["entry-points"].items()
    module, _, name = points["big-sky"].partition(":")
    code = f"import {module}; {module}.{name}"

    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(project / "src")}, check=True)


def test_its_workflow_is_yaml_that_tests_the_oldest_core_too(project: Path) -> None:
    import yaml

    workflow = yaml.safe_load((project / ".github/workflows/test.yml").read_text(encoding="utf-8"))

    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    oldest = matrix["include"][0]["core"]
    assert core_version().startswith(oldest)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")

    with pytest.raises(ConflictError, match="is there already, and nothing of it is overwritten"):
        create("provider", "acme", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    assert create("command", "acme", tmp_path)[0] == tmp_path / "pyproject.toml"


def test_without_a_path_the_folder_is_named_like_the_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert create("host", "acme")[0] == Path("flow-acme/pyproject.toml")


@pytest.mark.parametrize("name", ["Acme", "9lives", "a--b", "-a", "a-", "a_b", "a.b", "", "ä", "x" * 41, "core", "a b"])
def test_a_name_that_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        create("provider", name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_name_with_flows_own_beginning_is_shown_without_it() -> None:
    with pytest.raises(ConfigError) as caught:
        check_name("flow-acme")
    assert caught.value.hint == "say acme"


def test_an_unknown_kind_names_the_kinds(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'driver' is no kind of plugin") as caught:
        create("driver", "acme", tmp_path / "new")
    assert "provider, frontend, result-store, secret-store, command, host" in caught.value.hint
