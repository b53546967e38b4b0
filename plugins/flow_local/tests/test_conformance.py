"""The provider ``local`` keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from flow_core.testing import ProviderContract, VolumeContract


class TestLocal(ProviderContract):
    provider = "local"
    settings: ClassVar[Mapping[str, object]] = {"snapshot_copies": True}


class TestVolumesOnBtrfs(VolumeContract):
    """The same volumes where they are subvolumes with quotas."""

    provider = "local"

    @pytest.fixture
    def profile(self, btrfs: Path, home: Path) -> Mapping[str, object]:
        return {"root": str(btrfs / home.name)}
