"""The provider ``slurm`` keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from flow_core.testing import ProviderContract

from .cluster import Cluster
from .sshd import Sshd


class TestCommands(ProviderContract):
    provider = "slurm"
    settings: ClassVar = {"root": "{home}/slurm"}
    patience = 90.0

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster: Cluster) -> None:
        """Its commands talk to a cluster of the tests' own."""


class TestSsh(ProviderContract):
    provider = "slurm"
    patience = 90.0

    @pytest.fixture
    def profile(self, home: Path, cluster: Cluster, login_node: Sshd) -> Mapping[str, object]:
        return {"root": f"{home}/slurm", **login_node.settings(cluster.environment)}
