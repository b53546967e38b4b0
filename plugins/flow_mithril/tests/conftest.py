"""A double of the API for each test; one that made a mistake of its own fails the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from flow_core import Flow
from flow_core.types import parse_ref
from flow_instances import unavailable
from flow_mithril.testing import Double, Settings


@pytest.fixture
def double() -> Iterator[Double]:
    """A Mithril API below which nothing boots."""
    with Double(Settings(boot=False, ssh_destination="127.0.0.1:2222", start_seconds=0.0)) as double:
        yield double
    assert double.mistakes == []


WHY_NOT = unavailable()


@pytest.fixture(scope="module")
def platform() -> Iterator[Double]:
    """A Mithril API whose machines really boot, for the tests of a module."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    with pytest.MonkeyPatch.context() as patch, Double(Settings(boot=True, start_seconds=0.0)) as double:
        patch.setenv("MITHRIL_API_URL", double.url)
        patch.setenv("MITHRIL_API_KEY", double.settings.api_key)
        yield double
        assert double.mistakes == []


@pytest.fixture
def booted(platform: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Flow]]:
    """Makes clients: ``make(setting=value)``; what they leave behind is ended."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("FLOW_HOME", str(home))
    (tmp_path / "work").mkdir()

    def made(**settings: object) -> Flow:
        profile = {"provider": "mithril", "settle": "3s", "defaults": {"instance_type": "1xa100"}}
        profile = {**profile, "self_release": "client", **settings}
        (home / "config.yaml").write_text(yaml.safe_dump({"default": "m", "profiles": {"m": profile}}))
        return Flow(cwd=tmp_path / "work")

    yield made
    client = made()
    for task in client.tasks(limit=None):
        if task.row.ref:
            client.provider().release(parse_ref(task.row.ref)[2])
