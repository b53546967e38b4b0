"""A double of the API for each test; one that made a mistake of its own fails the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flow_instances import unavailable
from flow_mithril.testing import Double, Settings


@pytest.fixture
def double() -> Iterator[Double]:
    """A Mithril API below which nothing boots."""
    with Double(Settings(boot=False, ssh_destination="127.0.0.1:2222", start_seconds=0.0)) as double:
        yield double
    assert double.mistakes == []


WHY_NOT = unavailable()


@pytest.fixture(scope="module")
def platform() -> Iterator[Double]:
    """A Mithril API whose machines really boot, for the tests of a module."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    with pytest.MonkeyPatch.context() as patch, Double(Settings(boot=True, start_seconds=0.0)) as double:
        patch.setenv("MITHRIL_API_URL", double.url)
        patch.setenv("MITHRIL_API_KEY", double.settings.api_key)
        yield double
        assert double.mistakes == []
