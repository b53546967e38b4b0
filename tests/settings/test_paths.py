"""Where Flow keeps its files."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from flow_core.errors import StateError
from flow_core.settings import make_folder, paths


def test_the_xdg_folders_are_used():
    found = paths({"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "relative"})
    assert (found.config_dir, found.config_file) == (Path("/h/.config/flow"), Path("/h/.config/flow/config.yaml"))
    assert found.state_dir == Path("/s/flow")
    assert found.cache_dir == Path("/h/.cache/flow")


def test_flow_home_holds_everything():
    found = paths({"FLOW_HOME": "/f"})
    assert found.config_file == Path("/f/config.yaml")
    assert (found.state_dir, found.cache_dir) == (Path("/f/state"), Path("/f/cache"))


def test_a_relative_flow_home_is_made_absolute():
    assert paths({"FLOW_HOME": "f"}).state_dir == Path.cwd() / "f" / "state"


@pytest.mark.parametrize("blank", ["", "relative"])
def test_a_home_that_is_no_absolute_path_is_the_accounts(blank):
    assert paths({"HOME": blank}).config_dir == Path(pwd.getpwuid(os.getuid()).pw_dir, ".config", "flow")


def test_an_account_without_home_is_told_what_to_set(monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    with pytest.raises(StateError, match="has no home folder") as error:
        paths({})
    assert "FLOW_HOME" in error.value.hint


def test_folders_are_made_private(tmp_path):
    folder = make_folder(tmp_path / "a" / "b")
    assert {stat.S_IMODE(part.stat().st_mode) for part in (folder, folder.parent)} == {0o700}


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(StateError, match=f"{tmp_path / 'a'} is a file"):
        make_folder(tmp_path / "a" / "b")
