"""Command lines that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Answer

    Here = Callable[..., Answer]


def test_an_unknown_command_is_answered_with_the_nearest_one(here: Here) -> None:
    answer = here("statsu")
    assert answer.status == 2
    assert answer.last_line == "flow: error[USAGE]: there is no command 'statsu'"
    assert "did you mean `flow status`?" in answer.err


def test_an_unknown_option_is_answered_with_the_nearest_one(here: Here) -> None:
    answer = here("status", "--watsh")
    assert answer.status == 2
    assert answer.last_line == "flow: error[USAGE]: there is no option --watsh"
    assert "did you mean --watch?" in answer.err


def test_an_unknown_command_of_a_group_names_the_group(here: Here) -> None:
    answer = here("volume", "lst")
    assert "did you mean `flow volume list`?" in answer.err
    assert "See: flow volume --help" in answer.err


@pytest.mark.parametrize(
    "arguments", [("logs",), ("run",), ("wait",), ("status", "--json", "--nope"), ("nope", "--json")]
)
def test_a_wrong_usage_ends_with_2_and_its_line_last(here: Here, arguments: tuple[str, ...]) -> None:
    answer = here(*arguments)
    assert answer.status == 2
    assert answer.last_line.startswith("flow: error[USAGE]: ")


def test_json_gives_an_envelope_also_when_the_command_line_cannot_be_parsed(here: Here) -> None:
    answer = here("status", "--nope", "--json")
    assert answer.envelope["schema"] == "flow.status/1"
    assert answer.envelope["data"] is None
    assert answer.envelope["error"]["code"] == "USAGE"


@pytest.mark.parametrize("words", [("nope",), ("volume", "nope"), ("--nope",), ("volume",), ("config", "--nope")])
def test_an_envelope_of_no_command_has_a_schema_too(here: Here, words: tuple[str, ...]) -> None:
    known = here("schema", "answers", "--json").data
    answer = here(*words, "--json")
    assert answer.status == 2
    assert known[answer.envelope["schema"]]["properties"]["data"] == {"anyOf": [{"type": "null"}, {"type": "null"}]}


def test_json_behind_the_dashes_belongs_to_the_command(here: Here) -> None:
    assert here("run", "--nope", "--", "tool", "--json").out == ""


def test_nothing_at_all_shows_the_help(here: Here) -> None:
    answer = here()
    assert answer.status == 0
    assert answer.out.startswith("Usage: flow [OPTIONS] ")
    assert answer.err == ""


@pytest.mark.parametrize("group", ["volume", "config", "plugins", "secret"])
def test_a_group_alone_shows_its_help(here: Here, group: str) -> None:
    answer = here(group)
    assert (answer.status, answer.out.partition(" [")[0]) == (0, f"Usage: flow {group}")


def test_a_problem_of_a_task_is_told_once_per_place_with_the_mend(here: Here) -> None:
    answer = here("run", "--dry-run", "--code", "snapsho", "-e", "A", "echo", "hi")
    assert answer.status == 64
    lines = answer.err.splitlines()
    assert '--env: "A" is not K=V (write NAME=VALUE)' in lines
    assert any(line.startswith("--code") and "snapshot" in line for line in lines)
    assert answer.last_line == "flow: error[CONFIG]: 2 problems in the task"


def test_a_problem_of_a_file_is_told_with_line_and_column(here: Here, tmp_path: object) -> None:
    from pathlib import Path

    Path("task.yaml").write_text("command: echo hi\nnum_instance: 2\n")
    answer = here("run", "--dry-run", "task.yaml")
    assert answer.status == 64
    assert answer.err.splitlines()[0].startswith("task.yaml:2:1: num_instance: ")
    assert "num_instances" in answer.err


def test_problems_are_in_the_envelope(here: Here) -> None:
    answer = here("run", "--json", "--dry-run", "--retries", "-1", "echo")
    problems = answer.envelope["error"]["details"]["problems"]
    assert [problem["path"] for problem in problems] == ["--retries"]
    assert json.loads(answer.out)["error"]["code"] == "CONFIG"
