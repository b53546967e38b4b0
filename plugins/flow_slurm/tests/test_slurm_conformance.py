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


class TestRest(ProviderContract):
    """slurmrestd, on a machine whose commands find no cluster."""

    provider = "slurm"
    patience = 60.0

    @pytest.fixture
    def profile(self, home: Path, full_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, object]:
        root = Path(f"{home}/slurm")
        root.mkdir(parents=True)
        monkeypatch.setenv("SLURM_CONF", "/dev/null")
        monkeypatch.setenv("SLURM_JWT", full_cluster.token())
        return {"root": str(root), "rest": full_cluster.rest_url}
