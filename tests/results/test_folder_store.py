"""The result store that comes with Flow keeps the contract."""

from __future__ import annotations

import stat
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import pytest

from flow_core.results._folder import FolderSettings, FolderStore
from flow_core.testing import ResultStoreContract


class TestFolderStore(ResultStoreContract):
    result_store = "folder"
    settings: ClassVar = {"root": "{home}/store"}


def test_folders_that_it_makes_are_for_their_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "home"))

    FolderStore(FolderSettings()).flow_result_put("a/b", iter([b"x"]), sha256(b"x").hexdigest())

    made = [path for path in (tmp_path / "home").rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}
