"""The provider ``mithril`` keeps the contract, on machines that really boot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flow_instances import unavailable
from flow_mithril.testing import Double, Settings

from flow_core.testing import ProviderContract

WHY_NOT = unavailable()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


@pytest.fixture(scope="module", autouse=True)
def platform() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, Double(Settings(boot=True, start_seconds=0.0)) as double:
        patch.setenv("MITHRIL_API_URL", double.url)
        patch.setenv("MITHRIL_API_KEY", double.settings.api_key)
        yield
        assert double.mistakes == []


class TestMithril(ProviderContract):
    provider = "mithril"
    settings = {"settle": "3s", "self_release": "client", "defaults": {"instance_type": "1xa100"}}
    wrong_credentials = {"MITHRIL_API_KEY": "fkey_wrong"}
    patience = 60.0
