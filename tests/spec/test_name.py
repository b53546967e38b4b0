"""The name of a task that was given none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from flow_core.spec import default_name

if TYPE_CHECKING:
    from collections.abc import Sequence

CASES = [
    ("python train.py --x", "train"),
    ("python3.11 -u src/Train_it.py", "train_it"),
    ("./run.sh", "run"),
    ("python -c 'print(1)'", "python"),
    ("python -m pkg.eval --x y.py", "pkg.eval"),
    ("python", "python"),
    ("bash -e run.sh", "bash"),
    ("torchrun --nproc_per_node 8 train.py", "train"),
    ("accelerate launch train.py", "train"),
    ("uv run train.py", "train"),
    ("/usr/bin/env python3 foo.py", "foo"),
    ("A=1 CUDA_VISIBLE_DEVICES=0 python train.py", "train"),
    ("cd src && make all", "make"),
    ("# a comment\nset -e\nnvidia-smi | head", "nvidia-smi"),
    ("echo hello", "echo"),
    ("echo 'a; b", "echo"),
    ("'my prog' x", "my-prog"),
    ("", "task"),
    ("()", "task"),
    ("日本", "task"),
    (("python", "/a/b c.py"), "b-c"),
    (["sleep", "5"], "sleep"),
    (None, "task"),
    ((), "task"),
]


@pytest.mark.parametrize(("command", "name"), CASES)
def test_the_name_is_the_one_a_person_expects(command: str | Sequence[str] | None, name: str) -> None:
    assert default_name(command) == name


@given(st.one_of(st.text(), st.lists(st.text(), max_size=4)))
def test_every_command_gets_a_name_that_may_be_used(command: str | list[str]) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,47}", default_name(command))


def test_what_is_quoted_separates_no_steps() -> None:
    assert default_name("trap 'echo bye; exit 9' TERM; python train.py") == "train"
    assert default_name('echo "a; b" | tee log') == "echo"


@pytest.mark.timeout(10)
def test_a_name_is_made_at_once_from_a_command_of_any_length() -> None:
    assert default_name("python train.py " + "x" * (1 << 20)) == "train"
    assert default_name("echo '" + "x y " * (1 << 18)) == "echo"
