"""The reference is what the code says, and nothing that can be used is missing from it."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import click
import pytest

import flow_core
from flow_core import errors, hookspecs, types
from flow_core.cli._app import app
from flow_core.cli._catalog import COMMANDS
from flow_core.cli._group import walk
from flow_core.faces import Provider

from .pages import REFERENCE, ROOT

HOOKS = {
    name: spec
    for word in hookspecs.__all__
    if isinstance(spec := getattr(hookspecs, word), type)
    for name in vars(spec)
    if name.startswith("flow_")
}
_HOOK_PAGES = [page for page in (REFERENCE / "hooks").glob("*.md") if page.name != "index.md"]


def headings(pages: list[Path]) -> list[str]:
    """Return the second-level headings of pages."""
    return [line for page in pages for line in re.findall(r"^##+ (.+)$", page.read_text("utf-8"), re.MULTILINE)]


def commands(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[str]:
    """Yield the path of every command of the core, ``flow volume list``."""
    with click.Context(command, info_name=name, parent=parent) as ctx:
        if parent is not None:
            yield ctx.command_path
        if isinstance(command, click.Group):
            for inner, found in walk(command, ctx):
                if parent is not None or inner in COMMANDS:
                    yield from commands(found, inner, ctx)


def test_the_committed_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == "", "run: python docs/generate.py"


def test_every_hook_has_exactly_one_section() -> None:
    assert sorted(headings(_HOOK_PAGES)) == sorted(HOOKS)


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_a_hooks_example_implements_it_with_arguments_that_it_has(hook: str) -> None:
    docstring = getattr(HOOKS[hook], hook).__doc__
    assert docstring is not None
    example = inspect.cleandoc(docstring).partition("Example::\n")[2]
    function = ast.parse(inspect.cleandoc("\n" + example)).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert function.name == hook
    assert [ast.unparse(mark) for mark in function.decorator_list] == ["hookimpl"]
    wanted = inspect.signature(getattr(HOOKS[hook], hook)).parameters
    assert {argument.arg for argument in function.args.args} <= wanted.keys()


def test_every_command_has_a_section() -> None:
    assert headings([REFERENCE / "commands.md"]) == list(commands(app, "flow"))


def test_every_key_of_a_task_has_a_row() -> None:
    text = (REFERENCE / "config.md").read_text("utf-8")
    keys = [field.name for field in attrs.fields(types.TaskConfig) if field.name != "function"]
    assert [key for key in keys if not re.search(rf"^\| \[?`{key}`", text, re.MULTILINE)] == []


def test_every_public_class_has_a_section_and_every_function_a_line() -> None:
    text = (REFERENCE / "python.md").read_text("utf-8")
    known = {*types.__all__, *vars(errors), "Secret", "hookimpl", "nodes", "aio"}  # on pages of their own
    names = [name for name in flow_core.__all__ if name not in known]
    assert [name for name in names if f"## flow.{name}\n" not in text and f"**`flow.{name}(" not in text] == []


def test_every_record_has_a_section() -> None:
    records = [name for name in types.__all__ if attrs.has(getattr(types, name))]
    assert headings([REFERENCE / "records.md"]) == records


def test_every_error_has_a_row() -> None:
    text = (REFERENCE / "errors.md").read_text("utf-8")
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.FlowError)]
    assert [kind.__name__ for kind in kinds if f"| `{kind.__name__}` |" not in text] == []


def test_every_hook_of_a_provider_is_called_by_core() -> None:
    face = ast.parse((ROOT / "flow_core" / "faces" / "_provider.py").read_text("utf-8"))
    sources = [path for path in (ROOT / "flow_core").rglob("*.py") if path.parent.name not in ("faces", "testing")]
    text = "\n".join(path.read_text("utf-8") for path in sources)
    methods = {hook: method(hook, face) for hook in Provider.bounds}
    assert [hook for hook, name in methods.items() if not re.search(rf"\.{name or hook}\(", text)] == []


def method(hook: str, face: ast.Module) -> str:
    """Return the method of a face that calls ``hook``; empty when none does."""
    functions = [node for node in ast.walk(face) if isinstance(node, ast.FunctionDef)]
    constants = {node.name: {c.value for c in ast.walk(node) if isinstance(c, ast.Constant)} for node in functions}
    return next((name for name, values in constants.items() if hook in values), "")


def test_the_changelog_begins_with_the_version_of_the_project() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    first = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert version
    assert first
    assert first[1] == version[1]


def test_the_readme_shows_the_two_commands_of_a_newcomer() -> None:
    shown = re.findall(r"^    (pip .*)$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    first = "pip install . ./plugins/flow_local && flow run 'python -c \"import platform; print(platform.node())\"'"
    assert shown == [first, "pip install tox && tox"]
