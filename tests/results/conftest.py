"""A client with a home of its own and a local provider in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_core.client import Flow


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def work(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def flow(work: Path) -> Iterator[Flow]:
    return Flow(work)
