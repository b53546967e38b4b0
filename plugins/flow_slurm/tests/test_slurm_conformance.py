"""The provider ``slurm`` keeps the contract."""

from __future__ import annotations

import pytest

from flow_core.testing import ProviderContract

from .cluster import Cluster


class TestCommands(ProviderContract):
    provider = "slurm"
    settings = {"root": "{home}/slurm"}
    patience = 60.0

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster: Cluster) -> None:
        """Its commands talk to a cluster of the tests' own."""
