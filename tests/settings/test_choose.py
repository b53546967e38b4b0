"""Which profile runs a task: never a guess."""

from __future__ import annotations

import pytest

from flow_core.errors import ConfigError
from flow_core.settings import choose


def test_the_command_line_wins_over_the_task_and_that_over_the_default(place):
    place.user("default: c")
    settings, installed = place.load(), ["a", "b", "c"]
    assert choose(settings, "a", "b", installed).name == "a"
    assert choose(settings, None, "b", installed).name == "b"
    assert choose(settings, None, None, installed).name == "c"


def test_the_only_installed_provider_needs_no_settings(place):
    chosen = choose(place.load(), None, None, ["a"])
    assert (chosen.name, chosen.provider, dict(chosen.values)) == ("a", "a", {})


def test_the_only_profile_of_the_only_provider_is_used(place):
    place.user("profiles: {here: {provider: a}, gone: {provider: x}}")
    assert choose(place.load(), None, None, ["a"]).name == "here"


@pytest.mark.parametrize(
    ("config", "installed", "listed"),
    [
        ("{}", ["b", "a"], "a, b"),
        ("profiles: {one: {provider: a}, two: {provider: a}}", ["a"], "one, two"),
        ("profiles: {one: {provider: a}}", ["a", "b"], "b, one"),
    ],
)
def test_among_several_nothing_is_guessed(place, config, installed, listed):
    place.user(config)
    with pytest.raises(ConfigError, match=f"which provider\\? there are {listed}$"):
        choose(place.load(), None, None, installed)


def test_a_profile_wins_over_the_provider_of_its_name(place):
    place.user("profiles: {a: {provider: b}}")
    assert choose(place.load(), "a", None, ["a", "b"]).provider == "b"


def test_an_unknown_name_gets_the_nearest_and_what_is_installed(place):
    place.user("profiles: {lab: {provider: a}}")
    with pytest.raises(ConfigError, match="there is no profile or provider 'lba'") as error:
        choose(place.load(), "lba", None, ["a"])
    assert error.value.hint == "did you mean `lab`?; installed: a; profiles: lab; install a provider's package with pip"


def test_a_default_that_does_not_exist_says_where_it_stands(place):
    place.user("\ndefault: lba")
    with pytest.raises(ConfigError, match=f"asked for by: {place.config}:2"):
        choose(place.load(), None, None, ["a"])


def test_a_profile_whose_provider_is_missing_says_so(place):
    place.user("profiles: {lab: {provider: b}}")
    with pytest.raises(ConfigError, match="the profile lab needs the provider b, which is not installed"):
        choose(place.load(), "lab", None, ["a"])


def test_without_any_provider_it_says_what_to_do(place):
    with pytest.raises(ConfigError, match="no provider is installed") as error:
        choose(place.load(), None, None, [])
    assert "pip" in error.value.hint
