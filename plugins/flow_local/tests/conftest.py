"""A state folder of its own for each test; whatever runs in it is ended when the test is over."""

from __future__ import annotations

from collections.abc import Iterator
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
