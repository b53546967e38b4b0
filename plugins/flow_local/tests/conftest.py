"""A state folder of its own for each test; whatever runs in it is ended when the test is over."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flow_core import Flow


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("FLOW_HOME", str(folder))
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def flow(home: Path, project: Path) -> Iterator[Flow]:
    client = Flow()
    yield client
    for task in client.tasks(limit=None, states=("pending", "provisioning", "running")):
        task.cancel(grace=0.0)
        task.wait(timeout=20)


@pytest.fixture(scope="session")
def btrfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on btrfs with quotas on."""
    with _made(tmp_path_factory.mktemp("btrfs"), "btrfs") as folder:
        subprocess.run(["btrfs", "quota", "enable", str(folder)], check=True)
        yield folder


@pytest.fixture(scope="session")
def xfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on XFS, whose files can share blocks."""
    with _made(tmp_path_factory.mktemp("xfs"), "xfs") as folder:
        yield folder


@contextmanager
def _made(place: Path, kind: str) -> Iterator[Path]:
    image, folder = place / "image", place / "mounted"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(400 << 20)
    for step in ([f"mkfs.{kind}", "-q", str(image)], ["mount", "-o", "loop", str(image), str(folder)]):
        if shutil.which(step[0]) is None:
            pytest.skip(f"{step[0]} is not installed")
        done = subprocess.run(step, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"no {kind} here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
