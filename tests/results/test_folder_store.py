"""The result store that comes with Flow keeps the contract."""

from __future__ import annotations

import stat
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import pytest

from flow_core.results._folder import FolderSettings, FolderStore
from flow_core.runner import tickets
from flow_core.testing import ResultStoreContract


class TestFolderStore(ResultStoreContract):
    result_store = "folder"
    settings: ClassVar = {"root": "{home}/store"}


def test_folders_that_it_makes_are_for_their_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "home"))

    FolderStore(FolderSettings()).flow_result_put("a/b", iter([b"x"]), sha256(b"x").hexdigest())

    made = [path for path in (tmp_path / "home").rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}


def test_what_a_machine_brings_by_ticket_is_as_open_as_the_store(tmp_path: Path) -> None:
    root = tmp_path / "store"
    root.mkdir()
    root.chmod(0o750)

    ticket = FolderStore(FolderSettings(root=root)).flow_result_ticket("tasks/t1/final.json", "PUT", None, 60.0)
    tickets.put({"method": ticket.method, "url": ticket.url}, "", b"{}")

    made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    assert made == {"tasks+": 0o750, "t1+": 0o750, "final.json": 0o640}
