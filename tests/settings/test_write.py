"""Setting one value leaves the rest of the file as its owner wrote it."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from hypothesis import given, strategies as st

from flow_core.errors import ConfigError
from flow_core.settings import write
from flow_core.settings._write import _edited

_FILE = """\
# mine
default: lab  # the cluster

profiles:
  lab:
    provider: prov  # over there
    # how many
    max_tasks: 4
  # the next
  work: {provider: other, via: {ssh: a}}
# end
"""


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        ("default", "work", "default: lab ", "default: work "),
        ("profiles.lab.max_tasks", 8, "max_tasks: 4", "max_tasks: 8"),
        ("profiles.lab.provider", "x: y", "provider: prov ", "provider: 'x: y' "),
        ("profiles.lab.size", 1, "max_tasks: 4\n", "max_tasks: 4\n    size: 1\n"),
        ("profiles.work.via.ssh", "b", "ssh: a", "ssh: b"),
        ("profiles.work.size", 1, "{ssh: a}}", "{ssh: a}, size: 1}"),
        ("profiles.new.provider", "p", "{ssh: a}}\n", "{ssh: a}}\n  new: {provider: p}\n"),
        ("keep_events", "7d", "{ssh: a}}\n", "{ssh: a}}\nkeep_events: 7d\n"),
    ],
)
def test_only_the_one_place_changes(place, key, value, old, new):
    place.user(_FILE)
    write(place.config, key, value)
    assert place.config.read_text() == _FILE.replace(old, new, 1)
    assert place.load().value(key) == value


def test_a_missing_file_is_made_private(place):
    write(place.config, "profiles.lab.provider", "prov")
    assert place.config.read_text() == "profiles:\n  lab:\n    provider: prov\n"
    assert stat.S_IMODE(place.config.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.config.parent.stat().st_mode) == 0o700


def test_a_file_of_comments_keeps_them(place):
    place.user("# nothing yet\n")
    write(place.config, "default", "lab")
    assert place.config.read_text() == "# nothing yet\ndefault: lab\n"


def test_an_empty_value_is_filled(place):
    place.user("profiles:\ndefault: lab\n")
    write(place.config, "profiles.lab.provider", "p")
    assert place.config.read_text() == "profiles: {lab: {provider: p}}\ndefault: lab\n"


def test_a_file_that_would_be_refused_is_not_written(place):
    place.user(_FILE)
    with pytest.raises(ConfigError) as error:
        write(place.config, "defualt", "lab")
    assert error.value.problems[0].hint == "did you mean `default`?"
    assert place.config.read_text() == _FILE


def test_a_link_stays_a_link(place, tmp_path):
    real = tmp_path / "dotfiles.yaml"
    real.write_text("default: a\n")
    place.config.parent.mkdir(parents=True)
    place.config.symlink_to(real)
    write(place.config, "default", "b")
    assert place.config.is_symlink()
    assert real.read_text() == "default: b\n"


def test_two_at_once_both_take_effect(place):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: write(place.config, f"profiles.lab.k{number}", number), range(12)))
    assert place.load().profile("lab").values == {f"k{number}": number for number in range(12)}


@pytest.mark.parametrize("key", ["", ".default", "profiles..a"])
def test_a_key_that_is_no_path_is_refused(place, key):
    with pytest.raises(ConfigError, match="is not the path of a setting"):
        write(place.config, key, 1)


_keys = st.sampled_from("abc")
_trees = st.recursive(
    st.integers() | st.text(max_size=5) | st.none() | st.booleans(),
    lambda inner: st.dictionaries(_keys, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)


@given(
    st.dictionaries(_keys, _trees, max_size=3),
    st.lists(_keys, min_size=1, max_size=3),
    _trees,
    st.sampled_from([True, False, None]),
)
def test_the_file_then_says_what_was_asked_for_whatever_its_layout(tree, place, value, style):
    from flow_core.settings._layers import put

    text = yaml.safe_dump(tree, default_flow_style=style, allow_unicode=True)
    wanted = yaml.safe_load(text)
    put(wanted, tuple(place), value)
    assert yaml.safe_load(_edited(text, tuple(place), value, wanted)) == wanted
