"""A client with a home of its own, a local provider, and a store over HTTP that comes and goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_core.client import Flow, Task

sys.path.insert(0, str(Path(__file__).parent))

from flow_web_store import (
    PATIENCE,
    Kept,
    Server,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def work(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def flow(work: Path) -> Iterator[Flow]:
    flow = Flow(work)
    yield flow
    for task in flow.tasks(None, states={"pending", "running"}):
        task.cancel(grace=0)


@pytest.fixture
def web(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server, running; the settings know it as ``web`` (forms), ``signed`` (URLs) and ``plain`` (no leave)."""
    site = tmp_path / "site"
    info = site / "web_store-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: web-store\nVersion: 1.0\nRequires-Dist: flow-core>=1,<2\n"
    )
    (info / "entry_points.txt").write_text("[flow.result_stores]\nweb = flow_web_store:WebStore\n")
    monkeypatch.syspath_prepend(str(site))
    server = Server(tmp_path / "objects")
    server.start()
    (home / "key").write_text(server.key)
    rows = "".join(
        f"  {name}: {{store: web, url: '{server.url}', folder: '{home}', leave: '{leave}'}}\n"
        for name, leave in (("web", "POST"), ("signed", "PUT"), ("plain", "none"))
    )
    (home / "config.yaml").write_text(f"result_stores:\n{rows}")
    yield server
    server.stop()


@pytest.fixture
def kept() -> Kept:
    """Wait until a task's results are in its store, or never will be; return which."""

    def wait(flow: Flow, task: Task) -> str:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            flow.refresh([task.id])
            row = flow.session.journal.keeping(task.id)
            assert row is not None
            if row.phase != "open":
                return row.phase
            time.sleep(0.05)
        raise AssertionError(row)

    return wait
