"""The distributions below ``plugins/`` are made alike: the same files, the same words about themselves."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECTS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
MODULES = {"google": "google-cloud-storage", "azure": "azure-storage-blob"}  # not called as their distribution
each = pytest.mark.parametrize("project", PROJECTS, ids=[path.name for path in PROJECTS])


def read(project: Path) -> dict[str, Any]:
    """Return what ``pyproject.toml`` says of a project."""
    found: dict[str, Any] = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    return found


def files(project: Path) -> set[str]:
    """Return the paths that git knows below a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=project,
        capture_output=True,
        check=True,
    )
    return set(listed.stdout.decode().split("\0"))


def names(requirements: list[str]) -> set[str]:
    """Return the distributions that requirements name."""
    return {re.split(r"[\[<>=;~! ]", text, maxsplit=1)[0] for text in requirements}


@each
def test_it_has_the_files_that_all_have(project: Path) -> None:
    package = f"src/{project.name}"
    wanted = {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", f"{package}/__init__.py", f"{package}/py.typed"}

    assert wanted <= files(project)
    assert (project / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (project / "README.md").read_text("utf-8").startswith(("# " + read(project)["name"] + "\n", "<!-- needs:"))


@each
def test_its_tests_have_names_of_their_own(project: Path) -> None:
    tests = {Path(name).name for name in files(project) if re.match(r"tests/test_\w+\.py", name)}

    assert tests
    assert "tests/__init__.py" not in files(project)


@each
def test_it_says_of_itself_what_all_say(project: Path) -> None:
    core, own = read(ROOT), read(project)

    assert own["name"] == project.name.replace("_", "-")
    assert own.keys() - {"entry-points", "optional-dependencies"} == core.keys() - {"scripts", "optional-dependencies"}
    for key in ("version", "license", "license-files", "readme", "requires-python"):
        assert own[key] == core[key], key
    pythons = [word for word in core["classifiers"] if "Python ::" in word or word.startswith(("Typing", "Dev"))]
    assert set(pythons) <= set(own["classifiers"])
    assert own["description"].endswith(".")


@each
def test_a_plugin_says_which_core_it_is_for(project: Path) -> None:
    own = read(project)

    assert ("flow-core>=1,<2" in own["dependencies"]) == ("entry-points" in own)


@each
def test_it_asks_for_what_it_imports(project: Path) -> None:
    own = read(project)
    asked = names(own["dependencies"] + [one for more in own.get("optional-dependencies", {}).values() for one in more])
    used = {
        name.partition(".")[0]
        for path in (project / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in _imported(node)
    }
    others = used - sys.stdlib_module_names - {project.name, "flow_sbatch"}

    assert {MODULES.get(name, name.replace("_", "-")) for name in others} - asked == set()


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


@each
def test_its_changelog_begins_with_its_version(project: Path) -> None:
    first = re.search(r"^## \[(.+?)\]", (project / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert first
    assert first[1] == read(project)["version"]


@each
def test_every_environment_that_checks_the_whole_house_has_it(project: Path) -> None:
    tox = (ROOT / "tox.ini").read_text("utf-8")
    sections = dict(re.findall(r"^\[(.+)\]\n([\s\S]*?)(?=^\[|\Z)", tox, re.MULTILINE))

    for name in ("testenv:lint", "testenv:types"):
        assert f"-e plugins/{project.name}\n" in sections[name]
    assert f"plugins/{project.name}/src" in sections["testenv:types"]
    assert f'"{project.name}"' in (ROOT / "pyproject.toml").read_text("utf-8")
