"""What Flow asks of a result store, asked of this one on each kind of storage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from flow_core.testing import ResultStoreContract

from .services import S3Service


class TestFolder(ResultStoreContract):
    result_store = "fsspec"
    settings: ClassVar[Mapping[str, object]] = {"url": "file://{home}/store"}


class TestMemory(ResultStoreContract):
    result_store = "fsspec"
    settings: ClassVar[Mapping[str, object]] = {"url": "memory://kit"}
    known_limits: ClassVar[Mapping[str, str]] = {"R15": "memory of one process: nothing else could use a ticket"}


class TestS3(ResultStoreContract):
    result_store = "fsspec"

    @pytest.fixture
    def profile(self, home: Path, s3: S3Service) -> Mapping[str, object]:
        return s3.profile()


class TestGcs(ResultStoreContract):
    result_store = "fsspec"

    @pytest.fixture
    def profile(self, home: Path, gcs: Mapping[str, object]) -> Mapping[str, object]:
        return gcs


class TestAzure(ResultStoreContract):
    result_store = "fsspec"

    @pytest.fixture
    def profile(self, home: Path, azure: Mapping[str, object]) -> Mapping[str, object]:
        return azure
