"""What a type checker says to the author of a plugin that is wrong, and that it is content with a right one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flow_core.plugins._scaffold import KINDS, create

ROOT = Path(__file__).parents[2]
WRONG = Path(__file__).parent / "wrong"
RIGHT = sorted(Path(__file__).parent.glob("*_right.py"))
EXAMPLES = sorted((ROOT / "examples").glob("flow_*/src/*"))

Check = Callable[..., tuple[int, str]]


def line_of(file: str, text: str) -> int:
    lines = (WRONG / file).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.fixture(scope="module")
def mypy(tmp_path_factory: pytest.TempPathFactory) -> Check:
    cache = tmp_path_factory.mktemp("mypy")

    def check(*paths: Path, path: str = "") -> tuple[int, str]:
        argv = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file="]
        argv += ["--cache-dir", str(cache)]
        environ = {**os.environ, "MYPYPATH": path}
        done = subprocess.run([*argv, *map(str, paths)], env=environ, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return check


@pytest.fixture(scope="module")
def said(mypy: Check) -> str:
    return mypy(*sorted(WRONG.glob("*.py")))[1]


@pytest.fixture(scope="module")
def said_by_pyright() -> dict[tuple[str, int], str]:
    argv = [sys.executable, "-m", "basedpyright", "--outputjson", "--level", "error", "--pythonpath", sys.executable]
    done = subprocess.run([*argv, str(WRONG)], capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {(Path(one["file"]).name, one["range"]["start"]["line"] + 1): one["message"] for one in found}


MISTAKES = [
    (
        "provider_without_cancel.py",
        "class AcmeProvider",
        'has abstract attributes "flow_provision_cancel"',
        '"ProvisionHooks.flow_provision_cancel" is not implemented',
    ),
    (
        "provider_of_wrong_types.py",
        "def flow_provision_submit",
        'Return type "str" of "flow_provision_submit" incompatible with return type "TaskRef"',
        'base method returns type "TaskRef", override returns type "str"',
    ),
    (
        "provider_of_wrong_types.py",
        "def flow_provision_find",
        'Argument 1 of "flow_provision_find" is incompatible with supertype',
        'base parameter is type "Sequence[str]", override parameter is type "str"',
    ),
    (
        "provider_of_wrong_types.py",
        '"running"',
        'Argument 2 to "fromkeys" of "dict" has incompatible type "str"; expected "TaskReport"',
        'is not assignable to return type "Mapping[TaskRef, TaskReport]"',
    ),
    (
        "provider_of_wrong_types.py",
        "def flow_provision_cancel",
        'Signature of "flow_provision_cancel" incompatible with supertype',
        "Positional parameter count mismatch",
    ),
    (
        "provider_of_wrong_types.py",
        "Problem(",
        'Missing positional argument "message" in call to "Problem"',
        'Argument missing for parameter "message"',
    ),
    (
        "provider_of_wrong_types.py",
        "NodeAccess(rank=",
        'Argument "rank" to "NodeAccess" has incompatible type "str"; expected "int"',
        'cannot be assigned to parameter "rank" of type "int"',
    ),
    (
        "other_kinds.py",
        "class Store",
        'has abstract attributes "flow_result_delete"',
        '"ResultHooks.flow_result_delete" is not implemented',
    ),
    (
        "other_kinds.py",
        "def flow_secret_get",
        'Return type "str | None" of "flow_secret_get" incompatible with return type "Secret | None"',
        'base method returns type "Secret | None", override returns type "str | None"',
    ),
    (
        "other_kinds.py",
        'return "surely"',
        'Incompatible return value type (got "str", expected "float")',
        'is not assignable to return type "float"',
    ),
    (
        "other_kinds.py",
        "def flow_frontend_read",
        'incompatible with return type "Sequence[FrontendTask]"',
        'base method returns type "Sequence[FrontendTask]"',
    ),
    (
        "other_kinds.py",
        "def flow_task_config",
        'Signature of "flow_task_config" incompatible with supertype',
        'base method returns type "TaskConfig | Refusal | None", override returns type "bool"',
    ),
    (
        "function_calls.py",
        'remote("fast")',
        'Argument 1 to "remote" of "RemoteFunction" has incompatible type "str"; expected "float"',
        'cannot be assigned to parameter "rate" of type "float"',
    ),
    (
        "function_calls.py",
        "train.submit()",
        'Missing positional argument "rate" in call to "submit"',
        'Argument missing for parameter "rate"',
    ),
    (
        "function_calls.py",
        "text: str",
        'Incompatible types in assignment (expression has type "int", variable has type "str")',
        'Type "int" is not assignable to declared type "str"',
    ),
    (
        "function_calls.py",
        "later: str",
        'Incompatible types in assignment (expression has type "int", variable has type "str")',
        'Type "int" is not assignable to declared type "str"',
    ),
    (
        "function_calls.py",
        "gpus=",
        'Unexpected keyword argument "gpus"',
        'No overloads for "function" match',
    ),
]
IDS = [f"{file}: {text}" for file, text, _, _ in MISTAKES]


@pytest.mark.parametrize(("file", "text", "message"), [(f, t, m) for f, t, m, _ in MISTAKES], ids=IDS)
def test_mypy_shows_the_mistake_at_its_line(said: str, file: str, text: str, message: str) -> None:
    at = f"{file}:{line_of(file, text)}: error: "
    assert [line for line in said.splitlines() if at in line and message in line], said


@pytest.mark.parametrize(("file", "text", "message"), [(f, t, m) for f, t, _, m in MISTAKES], ids=IDS)
def test_pyright_shows_the_mistake_at_its_line(
    said_by_pyright: dict[tuple[str, int], str], file: str, text: str, message: str
) -> None:
    assert message in said_by_pyright[file, line_of(file, text)].replace("\xa0", " ")


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_the_examples_are_right(mypy: Check, example: Path) -> None:
    assert mypy(example) == (0, "")


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_scaffold_writes_is_right(mypy: Check, tmp_path: Path, kind: str) -> None:
    create(kind, "acme", tmp_path / "new")

    assert mypy(tmp_path / "new/src", tmp_path / "new/tests", path=str(tmp_path / "new/src")) == (0, "")


@pytest.mark.parametrize("right", RIGHT, ids=[path.name for path in RIGHT])
def test_what_is_right_about_calls_passes(mypy: Check, right: Path) -> None:
    assert mypy(right) == (0, "")
