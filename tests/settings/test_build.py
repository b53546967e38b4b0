"""A plugin's typed settings, built strictly."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal

import attrs
import pytest

from flow_core.errors import AuthError, ConfigError
from flow_core.secrets import Credential
from flow_core.settings import Text, build, options


@attrs.frozen
class Via:
    ssh: str
    port: int = 22


@attrs.frozen
class Plain:
    name: str = ""
    count: int = attrs.field(default=1, validator=attrs.validators.ge(1), metadata={"help": "How many."})
    ratio: float = 0.5
    fast: bool = False
    root: Path = Path("~/x")
    price: Decimal | None = None
    hosts: tuple[str, ...] = ()
    labels: Mapping[str, str] = attrs.Factory(dict)
    limit: float = attrs.field(default=0.0, metadata={"unit": "duration"})
    size: int = attrs.field(default=0, metadata={"unit": "size"})
    mode: Literal["key", "client", "off"] = "off"
    via: Via | None = None


@attrs.frozen
class Cloud:
    project: str = attrs.field(metadata={"help": "Its id.", "project": True})
    url: str = "https://api.example.org"
    api_key: Credential = attrs.field(kw_only=True, metadata={"secret": True, "env": "CLOUD_KEY"})


def _built(place, cls, text, **environ):
    place.user(f"profiles: {{lab: {text}}}")
    return build(cls, place.load(**environ).profile("lab"))


def _problems(call):
    with pytest.raises(ConfigError) as error:
        call()
    return error.value.problems


def test_values_of_every_type_are_read(place):
    text = (
        "{name: a, count: 2, ratio: 1, fast: true, root: /r, price: 2.5, hosts: [a, b], labels: {a: b}, "
        "limit: 1h30m, size: 2GiB, mode: key, via: {ssh: host, port: 2222}}"
    )
    built = _built(place, Plain, text)
    assert built == Plain(
        "a", 2, 1.0, True, Path("/r"), Decimal("2.5"), ("a", "b"), {"a": "b"}, 5400.0, 2 << 30, "key", Via("host", 2222)
    )


def test_what_is_left_out_keeps_its_default(place):
    assert _built(place, Plain, "{}") == Plain()


def test_text_of_variables_is_parsed_by_type(place):
    built = _built(
        place,
        Plain,
        "{}",
        FLOW_PROFILE_LAB_NAME="7",
        FLOW_PROFILE_LAB_COUNT="7",
        FLOW_PROFILE_LAB_RATIO="1e-3",
        FLOW_PROFILE_LAB_FAST="yes",
        FLOW_PROFILE_LAB_PRICE="2.50",
        FLOW_PROFILE_LAB_HOSTS="a, b",
        FLOW_PROFILE_LAB_LABELS="a=b,c=d=e",
        FLOW_PROFILE_LAB_SIZE="1KiB",
        FLOW_PROFILE_LAB_VIA__SSH="host",
    )
    assert (built.name, built.count, built.ratio, built.fast) == ("7", 7, 0.001, True)
    assert (built.price, built.hosts, built.labels) == (Decimal("2.50"), ("a", "b"), {"a": "b", "c": "d=e"})
    assert (built.size, built.via) == (1024, Via("host"))
    assert type(built.name) is str


@pytest.mark.parametrize(
    ("text", "path", "said", "hint"),
    [
        ("{cuont: 1}", "cuont", "is not a setting", "did you mean `count`?"),
        ("{qqq: 1}", "qqq", "is not a setting", "known: count, fast, hosts"),
        ("{name: 1.5}", "name", "must be text, not 1.5", 'quote it: "1.5"'),
        ("{count: '2'}", "count", 'must be a whole number, not the text "2"', "leave out the quotes"),
        ("{count: true}", "count", "must be a whole number, not true", ""),
        ("{count: 2.0}", "count", "must be a whole number, not 2.0", ""),
        ("{count: 0}", "count", "'count' must be >= 1: 0", ""),
        ("{ratio: .nan}", "ratio", "must be a finite number", ""),
        ("{fast: 1}", "fast", "must be true or false, not 1", ""),
        ("{fast: null}", "fast", "must be true or false, not empty", ""),
        ("{root: 5}", "root", "must be a path", ""),
        ("{hosts: a}", "hosts", "must be a list", "write [a]"),
        ("{hosts: [1]}", "hosts", "must be text, not 1", "quote it"),
        ("{labels: {a: 1}}", "labels", "a must be text, not 1", "quote it"),
        ("{limit: 1 fortnight}", "limit", "is not a duration", ""),
        ("{mode: of}", "mode", "must be key or client or off", "did you mean `off`?"),
        ("{mode: off}", "mode", "must be key or client or off, not false", 'write "off"'),
        ("{via: host}", "via", "must be a mapping", ""),
        ("{via: {}}", "via.ssh", "has to be set", ""),
        ("{via: {ssh: a, prot: 1}}", "via.prot", "is not a setting", "did you mean `port`?"),
    ],
)
def test_a_mistake_is_named_with_place_and_mend(place, text, path, said, hint):
    (problem,) = _problems(lambda: _built(place, Plain, text))
    assert problem.path == f"profiles.lab.{path}"
    assert said in problem.message
    assert hint in problem.hint
    assert (problem.file, problem.line) == (str(place.config), 1)


def test_all_mistakes_come_at_once(place):
    assert len(_problems(lambda: _built(place, Plain, "{count: a, fast: b, nmae: c}"))) == 3


def test_a_mistake_in_a_variable_names_it_without_its_text(place):
    (problem,) = _problems(lambda: _built(place, Plain, "{}", FLOW_PROFILE_LAB_COUNT="hunter22"))
    assert "FLOW_PROFILE_LAB_COUNT" in problem.message
    assert "hunter22" not in str(problem)


def test_a_validator_that_needs_the_whole_record_speaks_for_the_profile(place):
    @attrs.frozen
    class Both:
        low: int = 0
        high: int = 1

        def __attrs_post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    (problem,) = _problems(lambda: _built(place, Both, "{low: 5}"))
    assert (problem.path, problem.message) == ("profiles.lab", "low is above high")


def test_a_secret_is_looked_for_when_it_is_needed(place):
    built = _built(place, Cloud, "{project: p}", CLOUD_KEY="hunter22")
    assert built.api_key.reveal() == "hunter22"
    assert "hunter22" not in repr(built)
    missing = _built(place, Cloud, "{project: p}")
    with pytest.raises(AuthError, match="CLOUD_KEY"):
        missing.api_key.get()


def test_a_secret_may_come_from_a_named_variable_or_the_profiles_own(place):
    assert _built(place, Cloud, "{project: p, api_key: {env: MINE}}", MINE="a").api_key.reveal() == "a"
    assert _built(place, Cloud, "{project: p}", FLOW_PROFILE_LAB_API_KEY="b").api_key.reveal() == "b"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("hunter22", "is a secret and must not stand here itself"),
        ("{env: A, file: /b}", "must not stand here itself"),
        ("{env: 5}", "env must be text"),
        ("{file: key}", "file must be an absolute path"),
        ("{command: 'pass show x'}", "command must be a list"),
    ],
)
def test_a_secret_that_stands_in_the_file_is_refused_and_not_repeated(place, value, said):
    (problem,) = _problems(lambda: _built(place, Cloud, f"{{project: p, api_key: {value}}}"))
    assert said in problem.message
    assert "hunter22" not in str(problem)


def test_a_secret_on_the_command_line_is_refused(place):
    profile = place.load({"profiles.lab.project": "p", "profiles.lab.api_key": "hunter22"}).profile("lab")
    (problem,) = _problems(lambda: build(Cloud, profile))
    assert problem.path == "profiles.lab.api_key"


def test_a_project_file_cannot_send_credentials_elsewhere(place):
    place.team("profiles: {lab: {project: p, url: https://evil.example}}")
    (problem,) = _problems(lambda: build(Cloud, place.load().profile("lab")))
    assert (problem.path, problem.code) == ("profiles.lab.url", "NOT_IN_PROJECT")


def test_a_project_file_may_set_what_the_plugin_leaves_to_it(place):
    place.team("profiles: {lab: {project: p}}")
    assert build(Cloud, place.load().profile("lab")).project == "p"


def test_options_are_read_likewise_with_the_path_of_their_section():
    assert options(Plain, {"count": 3, "mode": Text("key")}, "lab") == Plain(count=3, mode="key")
    (problem,) = _problems(lambda: options(Plain, {"cuont": 3}, "lab"))
    assert (problem.path, problem.hint) == ("lab.cuont", "did you mean `count`?")


def test_a_type_that_no_setting_can_have_is_the_plugins_fault(place):
    @attrs.frozen
    class Odd:
        thing: complex = 0j

    with pytest.raises(TypeError, match="cannot be the type of a setting"):
        _built(place, Odd, "{thing: 1}")
