"""The command line over a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flow_core.errors import ConfigError
from flow_core.spec import flags, load_mapping, merge, read_flags, read_mapping

if TYPE_CHECKING:
    from pathlib import Path

    from flow_core.types import Problem

CASES = [
    ({"retries": 1, "name": "a"}, {"retries": 2}, {"retries": 2, "name": "a"}),
    ({"env": {"A": "1", "B": "1"}}, {"env": {"B": "2"}}, {"env": {"A": "1", "B": "2"}}),
    ({"labels": {"a": "1"}}, {"labels": {"b": "2"}}, {"labels": {"a": "1", "b": "2"}}),
    ({"mounts": ["a:/a"]}, {"mounts": ["b:/b"]}, {"mounts": ["a:/a", "b:/b"]}),
    ({"depends_on": ("a",)}, {"depends_on": ["b"]}, {"depends_on": ["a", "b"]}),
    ({"instance_type": "a100"}, {"gpu": "h100"}, {"gpu": "h100"}),
    ({"gpu": "a100"}, {"instance_type": "h100"}, {"instance_type": "h100"}),
    ({"gpu": "a100"}, {"instance_type": None}, {"gpu": "a100"}),
    ({"resources": {"cpus": 1, "disk": 5}}, {"cpus": 2}, {"resources": {"disk": 5}, "cpus": 2}),
    ({"cpus": 1}, {"resources": {"cpus": 2}}, {"resources": {"cpus": 2}}),
    ({"resources": {"cpus": 1}}, {"resources": {"disk": 2}}, {"resources": {"cpus": 1, "disk": 2}}),
    ({"code": {"root": "src"}}, {"code": "none"}, {"code": {"root": "src", "mode": "none"}}),
    ({"code": "snapshot"}, {"code": {"root": "x"}}, {"code": {"root": "x"}}),
    ({"health": {"tcp": "main"}}, {"health": {"http": "/"}}, {"health": {"http": "/"}}),
    ({"toy": {"a": 1, "b": {"c": 1}}}, {"options": {"toy": {"b": {"d": 2}}}}, {"toy": {"a": 1, "b": {"c": 1, "d": 2}}}),
    ({"options": {"toy": {"a": 1}}}, {"options": {"toy": {"a": 2}}}, {"options": {"toy": {"a": 2}}}),
    ({}, {"options": {"toy": {"a": 2}}}, {"options": {"toy": {"a": 2}}}),
    ({"env": 3}, {"env": {"A": "1"}}, {"env": 3}),
    ({"mounts": 3}, {"mounts": ["a:/a"]}, {"mounts": 3}),
    ({"env": None}, {"env": {"A": "1"}}, {"env": {"A": "1"}}),
    ({"name": "a"}, {"name": None}, {"name": "a"}),
]


@pytest.mark.parametrize(("base", "override", "merged"), CASES)
def test_the_override_is_laid_over_the_base(
    base: dict[str, object], override: dict[str, object], merged: dict[str, object]
) -> None:
    before = (repr(base), repr(override))
    assert merge(base, override) == merged
    assert (repr(base), repr(override)) == before


def test_a_problem_names_the_line_or_the_flag_that_it_came_from(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("command: x\nretries: 500\nmounts:\n  - a\ntime_limit: 1h\nenv: {A: 1}\n")
    data, positions = load_mapping(file)
    override, from_flags = read_flags(
        {"time_limit": "soon", "mounts": ("b",), "env": ("B=1", "1C=x"), "num_instances": "two"}
    )
    with pytest.raises(ConfigError) as caught:
        read_mapping(merge(data, override), positions=positions, file="flow.yaml", flags=from_flags)
    assert {(problem.path, problem.line) for problem in caught.value.problems} == {
        ("retries", 2),
        ("mounts[0]", 4),
        ("env.A", 6),
        ("--env", None),
        ("--mount", None),
        ("--time-limit", None),
        ("--num-instances", None),
    }


def test_flags_are_made_from_the_fields() -> None:
    by_name = {flag.name: flag for flag in flags()}
    assert by_name["--num-instances"].short == "-N"
    assert by_name["--env"].multiple
    assert by_name["--mount"].metavar == "SRC:DST[:ro]"
    assert (by_name["--spot"].is_flag_pair, by_name["--spot"].negative) == (True, "--no-spot")
    assert by_name["--gpu"].key == "gpu"
    assert by_name["--memory"].key == "memory"
    assert [flag.name for flag in flags() if flag.is_flag_pair] == ["--spot"]
    assert len(by_name) == len(flags())
    assert all(flag.help for flag in flags())


def test_flag_texts_become_what_a_file_would_say() -> None:
    data, places = read_flags(
        {
            "num_instances": "4",
            "cpus": "1.5",
            "priority": "-3",
            "spot": False,
            "env": ("A=1", "B=x=y"),
            "mounts": ("a:/b",),
            "options": (
                "toy.a=1",
                "toy.b.c=true",
                'toy.d="1"',
                "toy.e=x",
                "toy.f=1.5",
                "toy.g=007",
                'toy.h=[--x=1, "b, c"]',
            ),
            "name": None,
            "labels": (),
        }
    )
    toy = {"a": 1, "b": {"c": True}, "d": "1", "e": "x", "f": 1.5, "g": "007", "h": ["--x=1", "b, c"]}
    assert data == {
        "num_instances": 4,
        "cpus": 1.5,
        "priority": -3,
        "spot": False,
        "env": {"A": "1", "B": "x=y"},
        "mounts": ["a:/b"],
        "options": {"toy": toy},
    }
    assert places["env.A"] == "--env"
    assert places["toy.b.c"] == places["options.toy.b.c"] == "--option"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("env", "A"),
        ("env", "=x"),
        ("labels", "a"),
        ("options", "toy=1"),
        ("options", "toy.a"),
        ("options", "toy..a=1"),
        ("options", ".a=1"),
    ],
)
def test_a_text_that_is_not_a_pair_is_refused_with_the_form(key: str, text: str) -> None:
    found: list[Problem] = []
    data, _ = read_flags({key: (text,)}, problems=found)
    assert data.get(key, {}) == {}
    assert [problem.code for problem in found] == ["BAD_VALUE"]
    with pytest.raises(ConfigError):
        read_flags({key: (text,)})


@pytest.mark.parametrize("text", ["t.a=[]]", "t.a=[a, {b]", "t.a=[!!python/none 1]"])
def test_an_option_in_brackets_that_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_flags({"options": (text,)})
    assert caught.value.problems[0].hint.startswith("a value in [ ] is a list")


@pytest.mark.parametrize("texts", [("t.a=1", "t.a.b=2"), ("t.a.b=2", "t.a=1")])
def test_an_option_cannot_be_a_value_and_a_mapping(texts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="1 problem"):
        read_flags({"options": texts})


def test_every_flag_sets_a_word_that_the_reader_knows() -> None:
    samples: dict[str, object] = {
        "cpus": "2", "disk": "1GB", "memory": "1GB", "env": ("A=1",), "labels": ("a=1",), "secrets": ("S",),
        "mounts": ("a:/a",), "volumes": ("v",), "ports": ("80",), "outputs": ("*.pt",), "depends_on": ("t",),
        "options": ("toy.a=1",), "spot": True, "code": "none", "restart": "always", "time_limit": "1h", "grace": "1s",
        "keep": "1s", "stop_signal": "INT", "preempt_signal": "INT", "max_price_per_hour": "2", "retries": "1",
        "max_preemptions": "1", "priority": "1", "num_instances": "2", "processes_per_node": "2",
    }  # fmt: skip
    for flag in flags():
        data, _ = read_flags({flag.key: samples.get(flag.key, "x")})
        read_mapping({"command": "x", **data}, providers=("toy",))
