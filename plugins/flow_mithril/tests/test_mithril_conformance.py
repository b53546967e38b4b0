"""The provider ``mithril`` keeps the contract, on machines that really boot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from flow_core.testing import ProviderContract


@pytest.mark.usefixtures("platform")
class TestMithril(ProviderContract):
    provider = "mithril"
    settings: ClassVar[Mapping[str, object]] = {
        "settle": "3s",
        "self_release": "client",
        "instance_type": "1xa100",
    }
    wrong_credentials: ClassVar[Mapping[str, str]] = {"MITHRIL_API_KEY": "fkey_wrong"}
    known_limits: ClassVar[Mapping[str, str]] = {"V10": "the machine of a task that has ended is gone"}
    patience = 60.0
