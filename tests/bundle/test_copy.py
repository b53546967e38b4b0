"""Copies and hashes of a selection."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from flow_core.bundle import content_hash, copy, select
from flow_core.errors import ConfigError


@pytest.fixture
def code(tmp_path: Path) -> Path:
    root = tmp_path / "code"
    (root / "sub").mkdir(parents=True)
    (root / "a.py").write_text("print(1)")
    (root / "sub" / "run.sh").write_text("#!/bin/sh\n")
    (root / "sub" / "run.sh").chmod(0o755)
    (root / "link").symlink_to("sub/nowhere")
    return root


def test_contents_modes_times_and_links_are_kept(code: Path, tmp_path: Path) -> None:
    os.utime(code / "a.py", ns=(1, 1_600_000_000_123_456_789))
    assert copy(select(code), tmp_path / "to") == ()
    to = tmp_path / "to"
    assert (to / "a.py").read_text() == "print(1)"
    assert (to / "a.py").stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert (to / "sub" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert os.readlink(to / "link") == "sub/nowhere"


def test_later_edits_do_not_reach_the_copy(code: Path, tmp_path: Path) -> None:
    copy(select(code), tmp_path / "to")
    with open(code / "a.py", "r+") as file:
        file.write("changed!")
    assert (tmp_path / "to" / "a.py").read_text() == "print(1)"


def test_what_vanished_since_the_listing_is_left_out_and_told(code: Path, tmp_path: Path) -> None:
    chosen = select(code)
    (code / "a.py").unlink()
    assert copy(chosen, tmp_path / "to") == ("a.py",)
    assert (tmp_path / "to" / "sub" / "run.sh").exists()


def test_a_big_sparse_file_is_copied_whole(code: Path, tmp_path: Path) -> None:
    with open(code / "big", "wb") as file:
        file.seek(3_000_000)
        file.write(b"end")
    copy(select(code), tmp_path / "to")
    assert (tmp_path / "to" / "big").read_bytes() == b"\0" * 3_000_000 + b"end"


def test_a_file_the_kernel_makes_up_is_copied_although_it_says_it_is_empty(tmp_path: Path) -> None:
    from flow_core.bundle import copy_files

    copy_files(Path("/proc"), ["version"], tmp_path)
    assert (tmp_path / "version").read_text() == Path("/proc/version").read_text()


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(unprivileged: Path) -> None:
    code = unprivileged / "code"
    code.mkdir()
    (code / "a.py").touch(mode=0)
    with pytest.raises(ConfigError, match=r"cannot read .*a\.py: Permission denied"):
        copy(select(code), unprivileged / "to")


def test_the_hash_is_that_of_the_copy_wherever_it_is(code: Path, tmp_path: Path) -> None:
    copy(select(code), tmp_path / "to")
    os.utime(tmp_path / "to" / "a.py", (0, 0))
    assert content_hash(select(code)) == content_hash(select(tmp_path / "to"))


@pytest.mark.parametrize("change", ["content", "name", "mode", "target", "new"])
def test_the_hash_changes_with_the_code(code: Path, change: str) -> None:
    before = content_hash(select(code))
    if change == "content":
        (code / "a.py").write_text("print(2)")
    elif change == "name":
        (code / "a.py").rename(code / "b.py")
    elif change == "mode":
        (code / "a.py").chmod(0o755)
    elif change == "target":
        (code / "link").unlink()
        (code / "link").symlink_to("sub/elsewhere")
    else:
        (code / "new").write_text("")
    assert content_hash(select(code)) != before


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.binary(max_size=20), max_size=4))
def test_a_copy_of_a_copy_is_the_same(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes]) -> None:
    base = tmp_path_factory.mktemp("trees")
    (base / "one").mkdir()
    for name, data in tree.items():
        (base / "one" / name).write_bytes(data)
    copy(select(base / "one"), base / "two")
    assert {path.name: path.read_bytes() for path in (base / "two").iterdir()} == tree
