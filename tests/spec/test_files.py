"""Task files: what YAML and JSON say, where it stands, and what is refused before anything is understood."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from flow_core.errors import ConfigError
from flow_core.spec import load_mapping, read_file, read_mapping
from flow_core.types import Problem, TaskConfig

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flow.yaml"


def problems_in(path: Path, content: str | bytes) -> tuple[Problem, ...]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        read_file(path, providers=("toy",))
    assert all(problem.file == str(path) for problem in caught.value.problems)
    assert str(path) in caught.value.message
    return caught.value.problems


def read(path: Path, content: str) -> TaskConfig:
    path.write_text(content, encoding="utf-8")
    return read_file(path, providers=("toy",))


TRAPS = [
    # text, line, column, code, a part of message or hint
    ("command: x\nspot: yes\n", 2, 1, "WRONG_TYPE", "write true"),
    ("command: x\nspot: On\n", 2, 1, "WRONG_TYPE", "write true"),
    ("command: x\nspot: n\n", 2, 1, "WRONG_TYPE", "write false"),
    ("command: x\nretries: 012\n", 2, 10, "AMBIGUOUS", "write 12"),
    ("command: x\nenv:\n  A: 007\n", 3, 6, "AMBIGUOUS", '"007" for text'),
    ("command: x\nretries: 0x4\n", 2, 1, "WRONG_TYPE", "whole number"),
    ("command: x\nretries: 1_0\n", 2, 1, "WRONG_TYPE", "write 10"),
    ("command: x\ntime_limit: 1:30\n", 2, 1, "BAD_VALUE", "1h30m"),
    ("command: x\ncpus: .nan\n", 2, 1, "OUT_OF_RANGE", "nan"),
    ("command: x\ncpus: .inf\n", 2, 1, "OUT_OF_RANGE", "inf"),
    ("command: x\ncpus: 1e999\n", 2, 1, "OUT_OF_RANGE", "inf"),
    (f"command: x\nretries: {'9' * 5000}\n", 2, 1, "WRONG_TYPE", "whole number"),
    ("command: x\npriority: 2024-01-01\n", 2, 1, "WRONG_TYPE", "2024-01-01"),
    ("command: x\nenv: {A: 1, B: x}\n", 2, 7, "WRONG_TYPE", 'quote it: "1"'),
    ("command: x\nnum_instances:\n", 2, 1, "WRONG_TYPE", "no value"),
    ("command: x\nname: a\nenv: {}\nname: b\n", 4, 1, "DUPLICATE", "line 2"),
    ("command: x\nenv:\n  A: a\n  A: b\n", 4, 3, "DUPLICATE", "line 3"),
    ("command: x\n1: 2\n", 2, 1, "WRONG_TYPE", 'quote it: "1"'),
    ("command: x\n? [a]\n: b\n", 2, 3, "BAD_VALUE", "single word"),
    ("command: x\ntoy: &t {a: b}\nenv:\n  <<: *t\n", 4, 3, "BAD_VALUE", "merge keys"),
    ("command: !!python/object/apply:os.system [ls]\n", 1, 10, "UNKNOWN_WORD", "tag"),
    ("command: !include x\n", 1, 10, "UNKNOWN_WORD", "!include"),
    ("command: x\nretries: !!int two\n", 2, 10, "WRONG_TYPE", "leave the tag out"),
    ("command: x\nmounts:\n  - a:/a\n  - b\n", 4, 5, "BAD_VALUE", "SRC:DST"),
    ("command: x\nmounts:\n  - source: a\n    target: b\n", 4, 5, "BAD_VALUE", "absolute"),
    ("env: {}\n", 1, 1, "NO_COMMAND", "command: python"),
    ("command: a: b\n", 1, 11, "SYNTAX", "quote"),
    ("env:\n\tA: a\n", 2, 1, "SYNTAX", "spaces"),
    ("command: [a, b\n", 2, 1, "SYNTAX", "is not YAML"),
    ('command: "a\n', 2, 1, "SYNTAX", "is not YAML"),
    ("command: x\n  env: y\n", 2, 6, "SYNTAX", "colon"),
    ("command: @x\n", 1, 10, "SYNTAX", "is not YAML"),
    ("command: *gone\n", 1, 10, "SYNTAX", "undefined alias"),
    ('command: "\\UFFFFFFFF"\n', 1, 1, "SYNTAX", "escape"),
    ("command: x\n---\ncommand: y\n", 2, 1, "SYNTAX", "second document"),
    ("", 1, 1, "EMPTY", "is empty"),
    (" \n\n", 1, 1, "EMPTY", "is empty"),
    ("# nothing\n", 1, 1, "EMPTY", "comments only"),
    ("\n- command: x\n", 2, 1, "WRONG_TYPE", "a list"),
    ("python train.py\n", 1, 1, "WRONG_TYPE", "a single value"),
    ("~\n", 1, 1, "WRONG_TYPE", "is empty"),
    ("command: x\nname: \0\n", 2, 7, "SYNTAX", "NUL"),
    ("command: \x1b[0m\n", 1, 10, "SYNTAX", "U+001B"),
    ('command: "a\\0b"\n', 1, 1, "NUL", "NUL"),
    ('command: "\\ud800"\n', 1, 1, "NOT_UTF8", "Unicode"),
    ("a: &a [*a]\n", 1, 4, "TOO_DEEP", "64"),
    ("command: x\ntoy: {a: " + "[" * 40 + "]" * 40 + "}\n", 2, 42, "TOO_DEEP", "32"),
    ("[" * 100 + "]" * 100, 1, 66, "TOO_DEEP", "64"),
    ("[" * 5000, 1, 1, "TOO_DEEP", "nested too deep"),
]


@pytest.mark.parametrize(("text", "line", "column", "code", "said"), TRAPS, ids=[trap[0][:40] for trap in TRAPS])
def test_a_trap_is_told_at_its_line_and_column(
    path: Path, text: str, line: int, column: int, code: str, said: str
) -> None:
    (problem,) = problems_in(path, text)
    assert (problem.line, problem.column, problem.code) == (line, column, code)
    assert said in f"{problem.message} | {problem.hint}"


def test_words_of_yaml_1_1_are_plain_text_where_text_is_asked_for(path: Path) -> None:
    text = "command: x\nenv: {A: yes, B: 1:30, C: 2024-01-01, D: 0x1F, E: off, F: 1_000, no: on}\nrestart: no\n"
    assert read(path, text).env == {
        "A": "yes",
        "B": "1:30",
        "C": "2024-01-01",
        "D": "0x1F",
        "E": "off",
        "F": "1_000",
        "no": "on",
    }


def test_bytes_that_are_not_utf_8_are_told_where_they_stand(path: Path) -> None:
    (problem,) = problems_in(path, "command: x\nname: ä".encode("latin-1"))
    assert (problem.line, problem.column, problem.code) == (2, 7, "NOT_UTF8")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_of_unicode_are_named(path: Path, encoding: str) -> None:
    mark = b"" if encoding in ("utf-16", "utf-32") else b"\xff\xfe"
    (problem,) = problems_in(path, mark + "command: x".encode(encoding))
    assert problem.code == "NOT_UTF8"
    assert "UTF-8" in problem.hint


def test_a_utf_8_byte_order_mark_changes_nothing(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfcommand: x\r\nname: y\r\n")
    assert read_file(path) == TaskConfig("x", name="y")
    (problem,) = problems_in(path, b"\xef\xbb\xbfnme: x\r\ncommand: y")
    assert (problem.line, problem.column) == (1, 1)


def test_lines_are_counted_as_editors_count_them(path: Path) -> None:
    (problem,) = problems_in(path, "command: 'x \u2028 \x85'\r\n# ä\r\nimage: 'é'\r\nretries: x\r\n")
    assert (problem.line, problem.column) == (4, 1)


def test_anchors_and_aliases_work_and_an_explosion_of_them_does_not(path: Path) -> None:
    assert read(path, "command: x\nenv: &e {a: b}\nlabels: *e\n").labels == {"a": "b"}
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (problem,) = problems_in(path, "a0: &a0 [x]\n" + "\n".join(rows))
    assert problem.code == "TOO_LARGE"


def test_a_file_with_more_values_than_any_task_has_is_refused_early(path: Path) -> None:
    (problem,) = problems_in(path, "a: [" + "1," * 300_000 + "]")
    assert problem.code == "TOO_LARGE"


def test_problems_are_sorted_by_line(path: Path) -> None:
    found = problems_in(path, "nme: x\nenv: {A: 1}\nretries: 2.5\nkeep: 010\nkeep: 1\nspot: no\n")
    assert [problem.line for problem in found] == [1, 1, 2, 3, 4, 5, 6]


def test_what_is_said_shows_file_line_column_and_mend(path: Path) -> None:
    (problem,) = problems_in(path, "command: x\n\nnum_instnaces: 2\n")
    assert str(problem) == f"{path}:3:1: num_instnaces: unknown word `num_instnaces` (did you mean `num_instances`?)"


def test_a_file_that_is_not_there_or_not_readable_is_one_problem(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.yaml", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(ConfigError) as caught:
            read_file(path)
        assert caught.value.problems[0].code == "NO_FILE"


def test_a_file_that_is_no_task_is_not_read_to_its_end(path: Path) -> None:
    path.touch()
    os.truncate(path, 10 << 30)
    with pytest.raises(ConfigError) as caught:
        read_file(path)
    assert caught.value.problems[0].code == "TOO_LARGE"


def test_json_is_known_by_its_suffix_or_its_first_brace(tmp_path: Path) -> None:
    for name in ("task.json", "task.yaml", "task"):
        assert read(tmp_path / name, '{\n\t"command": "x",\n\t"retries": 2\n}') == TaskConfig("x", retries=2)


def test_yaml_may_begin_with_a_brace(path: Path) -> None:
    assert read(path, "{command: x, retries: 2}") == TaskConfig("x", retries=2)


JSON_TRAPS = [
    ('{"command": "x",\n "retries": "2"}', 2, 2, "WRONG_TYPE", "without quotes"),
    ('{"command": "x",\n "env": {"A": "1", "A": "2"}}', 2, 20, "DUPLICATE", "line 2"),
    ('{"command": "x",\n "mounts": ["a:/a",\n  "b"]}', 3, 3, "BAD_VALUE", "SRC:DST"),
    ('{"command": "x", "mounts": [{"source": "a",\n\t"target": "b"}]}', 2, 2, "BAD_VALUE", "absolute"),
    ('{\n"command" "x"}', 2, 11, "SYNTAX", "is not JSON"),
    ('{"command": "x"} {', 1, 18, "SYNTAX", "Extra data"),
    ("command: x", 1, 1, "SYNTAX", "is not JSON"),
    ('{"command": "x",\n"cpus": NaN}', 2, 1, "OUT_OF_RANGE", "nan"),
    ('{"command": "x",\n"cpus": 1e999}', 2, 1, "OUT_OF_RANGE", "inf"),
    (f'{{"command": "x",\n"cpus": {"9" * 5000}}}', 2, 1, "OUT_OF_RANGE", "inf"),
    ('{"command": "\\u0000"}', 1, 2, "NUL", "NUL"),
    ('[{"command": "x"}]', 1, 1, "WRONG_TYPE", "a list"),
    ("null", 1, 1, "WRONG_TYPE", "is empty"),
    ("", 1, 1, "EMPTY", "is empty"),
    ('{"command": ' + "[" * 70 + "]" * 70 + "}", 1, 77, "TOO_DEEP", "64"),
    ("[" * 200_000, 1, 1, "TOO_DEEP", "too deep"),
]


@pytest.mark.parametrize(("text", "line", "column", "code", "said"), JSON_TRAPS, ids=[t[0][:40] for t in JSON_TRAPS])
def test_a_mistake_in_json_is_told_at_its_line_and_column(
    tmp_path: Path, text: str, line: int, column: int, code: str, said: str
) -> None:
    (problem,) = problems_in(tmp_path / "task.json", text)
    assert (problem.line, problem.column, problem.code) == (line, column, code)
    assert said in f"{problem.message} | {problem.hint}"


def test_load_mapping_hands_out_the_words_and_their_places(path: Path) -> None:
    path.write_text("command: x\nenv:\n  A: a\nmounts:\n- a:/a\n")
    data, positions = load_mapping(path)
    assert data == {"command": "x", "env": {"A": "a"}, "mounts": ["a:/a"]}
    assert positions == {
        "": (1, 1),
        "command": (1, 1),
        "env": (2, 1),
        "env.A": (3, 3),
        "mounts": (4, 1),
        "mounts[0]": (5, 3),
    }


def test_load_mapping_raises_what_nobody_takes(path: Path) -> None:
    path.write_text("command: x\ncommand: y\n")
    with pytest.raises(ConfigError):
        load_mapping(path)


def test_what_load_mapping_found_is_told_with_the_rest(path: Path) -> None:
    path.write_text("command: x\ncommand: y\nretries: 012\nspot: 1\n")
    found: list[Problem] = []
    data, positions = load_mapping(path, problems=found)
    with pytest.raises(ConfigError) as caught:
        read_mapping(data, positions=positions, file=str(path), problems=found)
    assert [problem.line for problem in caught.value.problems] == [2, 3, 4]
