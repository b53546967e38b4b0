"""Services that the tests of this plugin share: one of each for a test process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .services import S3Service, azure_service, gcs_service, s3_service, scratch


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Service]:
    """An S3 server with the bucket ``kit``."""
    with scratch("s3") as folder, s3_service(folder) as service:
        yield service


@pytest.fixture(scope="session")
def gcs() -> Iterator[dict[str, object]]:
    """Settings of a store in a server that speaks Google Cloud Storage's language."""
    with scratch("gcs") as folder, gcs_service(folder) as profile:
        yield profile


@pytest.fixture(scope="session")
def azure() -> Iterator[dict[str, object]]:
    """Settings of a store in a server that speaks Azure's language."""
    with scratch("azure") as folder, azure_service(folder) as profile:
        yield profile


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Flow home of this test's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv("FLOW_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_ambient_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the SDKs see no credentials, proxies or endpoints of this machine."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "STORAGE_EMULATOR_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
