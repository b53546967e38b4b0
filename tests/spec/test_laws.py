"""What holds for every task that can be written, and for everything that is none."""

from __future__ import annotations

import copy
import json
import string
from decimal import Decimal
from typing import TYPE_CHECKING

import attrs
import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from flow_core.errors import ConfigError
from flow_core.spec import (
    fingerprint,
    from_mapping,
    json_schema,
    merge,
    read_file,
    read_flags,
    read_mapping,
    to_mapping,
)
from flow_core.types import FunctionCall, Problem, SecretRef, TaskConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

PROVIDERS = ("toy", "other")
WORDS = [*(field.name for field in attrs.fields(TaskConfig)), "gpu", "cpus", "memory", "disk", "toy", "options"]

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
filled = texts.filter(str.strip)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
variables = st.from_regex(r"[A-Z_][A-Z0-9_]{0,6}", fullmatch=True)
seconds = st.one_of(
    st.integers(1, 10**6), st.floats(0.001, 1e9), st.sampled_from(["90s", "1h30m", "2-12:00:00", "1.5d"])
)
sizes = st.one_of(st.integers(1, 2**60), st.sampled_from(["16GiB", "1.5TB", "512mib"]))
data = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(-1e15, 1e15), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
sections = st.dictionaries(names, data, max_size=3)


@st.composite
def tasks(draw: st.DrawFn) -> dict[str, object]:
    """A user-form mapping of a valid task."""
    paths = draw(st.lists(names, unique=True, max_size=6))
    mounts = [
        draw(st.sampled_from([f"./a:/{path}:ro", {"source": "s3://b", "target": f"/{path}"}])) for path in paths[:3]
    ]
    volumes = [
        draw(
            st.sampled_from([f"{path}:/{path}", {"name": path, "target": f"/{path}", "size_gb": 3, "read_only": True}])
        )
        for path in paths[3:]
    ]
    env = draw(st.dictionaries(variables, texts, max_size=3))
    keys = draw(st.lists(variables.filter(lambda name: name not in env), unique=True, max_size=3))
    ports = draw(st.lists(names, unique=True, max_size=3))
    optional = {
        "name": names,
        "num_instances": st.integers(1, 1024),
        "processes_per_node": st.integers(1, 64),
        "resources": st.fixed_dictionaries(
            {}, optional={"gpu": names, "gpu_count": st.integers(0, 8), "gpu_memory": sizes}
        ),
        "cpus": st.one_of(st.integers(1, 256), st.floats(0.01, 1e3)),
        "memory": sizes,
        "image": filled,
        "working_dir": filled,
        "code": st.one_of(
            st.sampled_from(["inplace", "snapshot", "none"]),
            st.fixed_dictionaries(
                {}, optional={"mode": st.just("snapshot"), "root": filled, "include": st.lists(filled)}
            ),
        ),
        "outputs": st.lists(names, max_size=3),
        "restart": st.sampled_from(["no", "on-failure", "always"]),
        "time_limit": seconds,
        "grace": seconds,
        "keep": seconds,
        "stop_signal": st.sampled_from(["TERM", "SIGINT", "USR1"]),
        "retries": st.integers(0, 100),
        "max_preemptions": st.integers(0, 9),
        "depends_on": st.lists(st.sampled_from(["t1", "any:t2"]), max_size=3),
        "priority": st.integers(-100, 100),
        "spot": st.booleans(),
        "max_price_per_hour": st.one_of(
            st.integers(1, 99), st.floats(0.01, 99), st.decimals("0.01", 99, places=2), st.sampled_from(["2.50", "40"])
        ),
        "region": filled,
        "labels": st.dictionaries(names, texts, max_size=3),
        "idempotency_key": names,
        "provider": names,
        "toy": sections,
        "options": st.dictionaries(st.just("other"), sections),
        "gpu": st.sampled_from(["a100", "8xh100", "cpu", "own.type-1"]),
        "health": st.fixed_dictionaries({"command": filled}, optional={"interval": seconds}),
    }
    words = draw(st.fixed_dictionaries({}, optional=optional))
    command = draw(st.one_of(filled, st.lists(texts, max_size=3).map(lambda rest: ["run", *rest])))
    secrets = [draw(st.sampled_from([name, f"x={name}", {"name": name, "file": f"/s/{name}"}])) for name in keys]
    given_words = {
        "env": env,
        "mounts": mounts,
        "volumes": volumes,
        "secrets": secrets,
        "ports": ports and [f"{p}=0" for p in ports],
    }
    return {"command": command, **words, **{word: value for word, value in given_words.items() if value}}


@given(tasks())
@settings(max_examples=300, deadline=None)
def test_every_task_survives_the_journal(words: dict[str, object]) -> None:
    before = copy.deepcopy(words)
    config = read_mapping(words, providers=PROVIDERS)
    kept = json.loads(json.dumps(to_mapping(config)))
    assert words == before
    assert from_mapping(kept) == config
    assert to_mapping(from_mapping(kept)) == kept
    assert read_mapping(kept, providers=PROVIDERS) == config
    assert fingerprint(from_mapping(kept)) == fingerprint(config)


@given(tasks())
@settings(max_examples=200, deadline=None)
def test_the_schema_accepts_every_task(words: dict[str, object]) -> None:
    plain = json.loads(json.dumps(words, default=float))
    jsonschema.Draft202012Validator(json_schema()).validate(plain)


@given(tasks())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_says_what_its_mapping_says(tmp_path: Path, words: dict[str, object]) -> None:
    plain = json.loads(json.dumps(words, default=float))
    for name in ("task.json", "task.yaml"):
        path = tmp_path / name
        path.write_text(json.dumps(plain, ensure_ascii=name == "task.json"), encoding="utf-8")
        if name == "task.json" or not any(
            ord(letter) < 32 or 126 < ord(letter) < 160 for letter in path.read_text("utf-8")
        ):
            assert read_file(path, providers=PROVIDERS) == read_mapping(plain, providers=PROVIDERS)


@given(tasks())
@settings(max_examples=100, deadline=None)
def test_nothing_laid_over_a_task_changes_nothing(words: dict[str, object]) -> None:
    assert merge(words, {}) == words
    assert read_mapping(merge({}, words), providers=PROVIDERS) == read_mapping(words, providers=PROVIDERS)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    json.dumps(json_schema())


def test_the_schema_describes_every_word() -> None:
    properties = json_schema()["properties"]
    assert isinstance(properties, dict)
    assert set(WORDS) - {"toy"} == set(properties)
    assert all(shape is False or shape["description"] for shape in properties.values())


SCHEMA_REFUSES: list[dict[str, object]] = [
    {},
    {"command": " "},
    {"command": []},
    {"command": "x", "retries": 101},
    {"command": "x", "retries": "1"},
    {"command": "x", "spot": "yes"},
    {"command": "x", "env": {"A": 1.5}},
    {"command": "x", "env": {"1A": ""}},
    {"command": "x", "nme": 1},
    {"command": "x", "gpu": "a", "instance_type": "b"},
    {"command": "x", "mounts": ["a"]},
    {"command": "x", "mounts": [{"source": "a"}]},
    {"command": "x", "ports": ["x"]},
    {"command": "x", "code": "snapshoot"},
    {"command": "x", "time_limit": "1:30"},
    {"command": "x", "time_limit": 0},
    {"command": "x", "function": {"module": "m", "name": "f"}},
    {"command": "x", "stop_signal": "term"},
    {"command": "x", "name": "A"},
    {"command": "x", "num_instances": None},
    {"command": "x", "resources": {"memry": 1}},
]


@pytest.mark.parametrize("words", SCHEMA_REFUSES)
def test_what_the_schema_refuses_the_reader_refuses(words: dict[str, object]) -> None:
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(words)
    with pytest.raises(ConfigError):
        read_mapping(words, providers=PROVIDERS)


anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=12),
        st.binary(max_size=4),
        st.decimals(),
        st.integers(20, 5000).map(lambda digits: 10**digits),
        st.sampled_from([object(), {1, 2}, SecretRef("A", None), SecretRef("")]),
        st.sampled_from(
            ["yes", "1:30", "a:b", ":", "=", "a=", "x:/y:z", "://", "1e5", "..", "/..", "any:", "8x", "0xa", "9" * 5000]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["name", "source", "target", "port", "tcp", "http", "mode", "env"]),
                st.text(max_size=4),
                st.integers(),
                st.none(),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.one_of(st.sampled_from(WORDS), st.text(max_size=6), st.integers(), st.none()), anything, max_size=6
    )
)
@settings(max_examples=1500, deadline=None)
@example({"gpu": "9" * 5000 + "xa"})
@example({"max_price_per_hour": Decimal("1e999999")})
@example({"memory": "9" * 31 + "PiB"})
def test_a_malformed_mapping_is_a_config_error_and_nothing_else(words: dict[str, object]) -> None:
    _reads_or_refuses(lambda: read_mapping(words, providers=PROVIDERS))
    _reads_or_refuses(lambda: read_mapping(merge(words, {"env": {"A": "1"}, "mounts": ["a:/a"]}), providers=PROVIDERS))
    _reads_or_refuses(lambda: read_mapping(merge({"command": "x"}, words), providers=PROVIDERS))


@given(tasks(), st.sampled_from(WORDS), anything)
@settings(max_examples=500, deadline=None)
def test_one_wrong_value_in_a_task_is_told_at_its_word(words: dict[str, object], word: str, value: object) -> None:
    found = _reads_or_refuses(lambda: read_mapping({**words, word: value}, providers=PROVIDERS))
    roots = {problem.path.split(".")[0].split("[")[0] for problem in found}
    related = {word, "command", "gpu", *("mounts", "volumes", "secrets", "ports", "health", "cpus", "memory", "disk")}
    assert roots <= related


scraps = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *WORDS,
                *"[]{}:,-?|>&*!%@`'\"#\n\t ",
                "\n  ",
                "\n- ",
                ": ",
                "&a ",
                "*a",
                "<<: ",
                "!!int ",
                "---\n",
                "...\n",
            ]
        ),
        st.sampled_from(
            [
                "yes",
                "012",
                "1:30",
                ".nan",
                "~",
                "0x1",
                "1e9",
                "2020-01-01",
                "%YAML 1.1\n",
                '"\\x',
                "\\U",
                "\ufeff",
                "\x85",
                "\u2028",
            ]
        ),
        st.text(string.printable, max_size=5),
        st.text(max_size=3),
    ),
    max_size=25,
).map("".join)


@given(
    st.one_of(scraps.map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary(max_size=60)),
    st.sampled_from([".yaml", ".json", ""]),
)
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_malformed_file_is_a_config_error_with_lines_and_nothing_else(
    tmp_path: Path, content: bytes, suffix: str
) -> None:
    path = tmp_path / f"task{suffix}"
    path.write_bytes(content)
    lines = len(content.splitlines()) + 1
    for problem in _reads_or_refuses(lambda: read_file(path, providers=PROVIDERS)):
        assert problem.file == str(path)
        assert problem.line is None or (
            1 <= problem.line <= lines and problem.column is not None and problem.column >= 1
        )


@given(tasks(), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_or_scratched_anywhere_is_read_or_refused(
    tmp_path: Path, words: dict[str, object], choice: st.DataObject
) -> None:
    text = json.dumps(words, default=str, indent=choice.draw(st.sampled_from([None, 1])))
    at = choice.draw(st.integers(0, len(text)))
    path = tmp_path / choice.draw(st.sampled_from(["task.json", "task.yaml"]))
    path.write_text(
        text[:at] + choice.draw(st.text(max_size=2)) + text[at + choice.draw(st.integers(0, 3)) :],
        "utf-8",
        "surrogatepass",
    )
    _reads_or_refuses(lambda: read_file(path, providers=PROVIDERS))


@given(st.dictionaries(st.sampled_from(["env", "labels", "options"]), st.lists(st.text(max_size=8), max_size=3)))
def test_flags_with_any_text_are_read_or_refused(values: dict[str, object]) -> None:
    _reads_or_refuses(lambda: read_flags(values))


def _reads_or_refuses(act: Callable[[], object]) -> Sequence[Problem]:
    try:
        act()
    except ConfigError as error:
        found = error.problems
    else:
        return ()
    assert found
    assert all(str(problem).isprintable() and problem.code and problem.message for problem in found)
    return found


def test_equal_configs_have_one_fingerprint() -> None:
    one = read_mapping({"command": "x", "grace": 45, "max_price_per_hour": 2.5, "env": {"A": "1", "B": "2"}})
    other = read_mapping({"command": "x", "env": {"B": "2", "A": "1"}, "max_price_per_hour": "2.500", "grace": "45s"})
    assert one == other
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint(attrs.evolve(one, grace=46.0))


def test_the_canonical_form_leaves_defaults_out() -> None:
    config = read_mapping({"command": "x", "retries": 0, "secrets": ["A"], "volumes": ["v"], "code": {"root": "."}})
    assert to_mapping(config) == {"command": "x", "secrets": [{"name": "A"}], "volumes": [{"name": "v"}]}


def test_a_function_survives_the_journal() -> None:
    config = TaskConfig(function=FunctionCall("m", "f", "key", "cloudpickle", "3.11"))
    assert from_mapping(to_mapping(config)) == config
