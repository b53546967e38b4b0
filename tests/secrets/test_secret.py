"""A value that does not print."""

from __future__ import annotations

import copy
import pickle

import attrs
import pytest

from flow_core.secrets import Secret


@attrs.frozen
class _Holder:
    token: Secret


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{:>10}".format, "%s".__mod__, lambda s: repr(_Holder(s))])
def test_no_way_of_printing_shows_the_value(show):
    assert "hunter22" not in show(Secret("hunter22", "token"))


def test_reveal_gives_the_value():
    assert Secret("hunter22").reveal() == "hunter22"


def test_a_secret_is_not_pickled_even_inside_something_else():
    with pytest.raises(TypeError, match="token cannot be pickled"):
        pickle.dumps({"a": [_Holder(Secret("hunter22", "token"))]})


def test_dumps_of_records_keep_the_secret_masked():
    assert "hunter22" not in str(attrs.asdict(_Holder(Secret("hunter22"))))
    assert copy.deepcopy(Secret("hunter22")) == Secret("hunter22")


def test_secrets_are_equal_by_value_and_not_hashable():
    assert Secret("é", "a") == Secret("é", "b")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    with pytest.raises(TypeError):
        hash(Secret("a"))


def test_a_secret_has_no_dictionary_to_dump():
    assert not hasattr(Secret("a"), "__dict__")
