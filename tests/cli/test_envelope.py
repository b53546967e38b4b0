"""The machine interface: one envelope, whatever is in it."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from flow_core.cli._envelope import envelope, plain
from flow_core.types import Mount, Offer

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_JSON)
def test_what_is_json_already_stays_as_it_is(value: Any) -> None:
    line = envelope("status", value)
    assert json.loads(line) == {"schema": "flow.status/1", "data": value, "error": None}
    assert "\n" not in line


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("19.90"), 19.9),
        (Path("/a/b"), "/a/b"),
        ((1, "a"), [1, "a"]),
        (Mount("a", "/b"), {"source": "a", "target": "/b", "read_only": False}),
        (math.inf, None),
        (math.nan, None),
        ({1: Decimal(2)}, {"1": 2.0}),
    ],
)
def test_records_and_amounts_become_json(value: object, shown: object) -> None:
    assert plain(value) == shown


def test_a_price_is_a_number() -> None:
    assert (
        json.loads(envelope("offers", [Offer("h100", price_per_hour=Decimal("2.50"))]))["data"][0]["price_per_hour"]
        == 2.5
    )
