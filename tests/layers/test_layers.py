"""Core names no provider; a plugin uses what core has made public, and no other plugin."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from flow_core import errors

ROOT = Path(__file__).parents[2]
CORE = sorted(
    path
    for folder in ("flow_core", "flow")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".in") and path.is_file()
)
PACKAGES = {path.name: path for path in [*ROOT.glob("plugins/*/src/flow_*"), *ROOT.glob("examples/*/src/flow_*")]}
NAMES = re.compile(
    r"(?<!_)flow[-_](?:local|fsspec|instances)|fsspec|slurm|sbatch|squeue|scontrol|mithril|skypilot"
    r"|kubernetes|kubectl|\bk8s\b|\baws\b(?<!\.aws)|amazon|boto|\bs3\b|\bec2\b|azure|\bgcs\b|\bgcp\b|google"
    r"|coreweave|runpod|lambda labs|\bpbs\b|\blsf\b",
    re.IGNORECASE,
)
# Machines for the tests of cloud providers: what a provider's own double runs on.
TESTING = {("flow_mithril.testing", "flow_instances")}


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def modules(package: Path) -> Iterator[tuple[str, Path]]:
    """Yield the dotted folder and the path of every file of a package."""
    for path in sorted(package.rglob("*.py")):
        yield ".".join(path.parent.relative_to(package.parent).parts), path


def test_core_names_no_provider() -> None:
    said = [(path.name, found[0]) for path in CORE for found in NAMES.finditer(path.read_text("utf-8"))]
    assert said == []


def test_core_imports_no_plugin() -> None:
    used = {(path, name) for path in CORE if path.suffix == ".py" for name in imports(path)}
    assert [(path, name) for path, name in used if name.partition(".")[0] in PACKAGES] == []


@pytest.mark.parametrize("plugin", sorted(PACKAGES))
def test_a_plugin_imports_public_names_of_core_alone(plugin: str) -> None:
    used = {(path.name, name) for _, path in modules(PACKAGES[plugin]) for name in imports(path)}
    private = re.compile(r"(flow|flow_core)(\.\w+)*\._(?!_version__)\w+|flow_core\.(cli|runner\.\w+)\b.*")
    assert [(path, name) for path, name in sorted(used) if private.fullmatch(name)] == []


@pytest.mark.parametrize("plugin", sorted(PACKAGES))
def test_a_plugin_imports_no_other_plugin(plugin: str) -> None:
    used = {(home, name.partition(".")[0]) for home, path in modules(PACKAGES[plugin]) for name in imports(path)}
    others = {(home, name) for home, name in used if name in PACKAGES and name != plugin}
    assert others - TESTING == set()


def test_what_people_read_has_one_word_for_a_provider_and_one_for_a_task() -> None:
    """The table of words in docs/index.md; the build-backend of a pyproject.toml is Python's own word."""
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("plugins/*/*.md"),
        *ROOT.glob("**/pyproject.toml"),
    ]
    texts = {path.relative_to(ROOT): path.read_text("utf-8") for path in pages}
    texts[Path("flow_core")] = str(
        ast.get_docstring(ast.parse((ROOT / "flow_core" / "__init__.py").read_text("utf-8")))
    )
    synonym = re.compile(r"(?<!build-)\b(?:backend|workload)s?\b", re.IGNORECASE)
    assert [(path, found[0]) for path, text in texts.items() for found in synonym.finditer(text)] == []


MENDED = sorted(
    path
    for folder in (ROOT / "flow_core", *(PACKAGES[name] for name in ("flow_local", "flow_fsspec")))
    for path in folder.rglob("*.py")
    if not {"testing", "runner"} & set(path.parts)
)


def calls_of(names: Collection[str]) -> Iterator[tuple[Path, ast.Call]]:
    """Yield where these are called by their plain names."""
    for path in MENDED:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield path, node


def test_every_error_says_what_to_do() -> None:
    """Those of a task's end say how it ended, and its log says the rest."""
    kinds = {kind.__name__ for kind in errors.FlowError.__subclasses__()} - {"TaskFailed", "TaskLostError"}
    without = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path, call in calls_of(kinds)
        if len(call.args) == 1
        and not isinstance(call.args[0], ast.Starred)
        and not {"hint", "problems"} & {keyword.arg for keyword in call.keywords}
    ]
    assert without == []


def test_every_problem_that_refuses_a_task_says_what_to_do() -> None:
    """A warning only tells, and where a file is no YAML the place is all that can be said."""
    without = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path, call in calls_of({"Problem"})
        if len(call.args) < 4
        and not isinstance(call.args[-1], ast.Starred)
        and not {"hint", "severity"} & {keyword.arg for keyword in call.keywords}
        and path.name != "_document.py"
    ]
    assert without == []
