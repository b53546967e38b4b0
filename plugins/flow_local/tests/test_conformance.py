"""The provider ``local`` keeps the contract."""

from __future__ import annotations

from flow_core.testing import ProviderContract


class TestLocal(ProviderContract):
    provider = "local"
