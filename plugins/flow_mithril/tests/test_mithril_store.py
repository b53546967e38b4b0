"""With a store that machines reach, a task ends, is kept, and its machine goes, though no client is there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flow_core import Flow
from flow_mithril.testing import Double

from .booted import PATIENCE, Make, begun, bid_status, live_keys, output, until
from .shelf import served


def test_a_task_is_kept_and_its_machine_goes_by_itself(
    platform: Double, booted: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site" / "shelf-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[flow.result_stores]\nshelf = {served.__module__}:Shelf\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o700)
    with served(kept) as port:
        platform.control("publish", port=port)
        booted(self_release="key", result_store="team")
        config = tmp_path / "home" / "config.yaml"
        store = {"store": "shelf", "root": str(kept), "url": f"http://127.0.0.1:{port}"}
        config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), "result_stores": {"team": store}}))
        flow = Flow(cwd=tmp_path / "work")  # the profile as it is now
        task = begun(flow.submit("echo out; sleep 1; exit 9"))

        until(lambda: bid_status(platform, task) == "Terminated", "the machine does not go by itself")
        assert task.wait(PATIENCE) == 9
        assert output(task) == b"out\n"
        assert not [name for name in live_keys(platform) if name.endswith("-release")]
