"""The ignore rules are git's: held against git itself."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from flow_core.bundle import _walk, _wildmatch, select

NAMES = ["a", "b", "ab", "a b", "a ", "x.o", "y.o", ".h", "build", "[a]", "*", "é", "-", "a\\"]
SEGMENTS = [
    "a",
    "b",
    "*",
    "**",
    "?",
    "a*",
    "*.o",
    "[ab]",
    "[!a]*",
    "[^b]",
    "[[:alpha:]]*",
    "[a-c]b",
    "\\*",
    "\\[a]",
    "ab",
    "build",
    "[]a]",
    "a\\",
]
ENDS = ["", "/", " ", "\\ ", "\r", "  "]

segments = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3).map("/".join)
lines = st.tuples(st.sampled_from(["", "!", "#", "\\!", "/", "!/"]), segments, st.sampled_from(ENDS)).map("".join)
ignore_files = st.lists(lines, max_size=5).map("\n".join)
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
trees = st.lists(paths, min_size=1, max_size=8)


def git(folder: Path, *args: str) -> str:
    home = {"HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    return subprocess.run(
        ["git", "-C", str(folder), *args], check=True, capture_output=True, text=True, env=home
    ).stdout


def write(path: Path, data: str = "") -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        pass  # the drawn paths cross: one is a folder of another


def others(root: Path) -> set[str]:
    found = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return {path for path in found.split("\0") if path and os.path.lexists(root / path)}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees, ignore_files, ignore_files, ignore_files)
def test_the_walker_takes_what_git_takes(tree: list[str], top: str, nested: str, exclude: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        git(root, "init", "-q")
        for path in tree:
            write(root / path)
        write(root / ".gitignore", top)
        write(root / "a" / ".gitignore", nested)
        write(root / ".git" / "info" / "exclude", exclude)
        assert set(_walk.files(root)) == others(root)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees, ignore_files, st.integers(0, 3), st.sampled_from(["2", "4"]))
def test_the_walker_knows_what_is_tracked(tree: list[str], ignore: str, added: int, version: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        git(root, "init", "-q")
        git(root, "config", "index.version", version)
        for path in tree:
            write(root / path)
        for path in tree[:added]:
            if (root / path).is_file():
                git(root, "--literal-pathspecs", "add", "-f", "--", path)
        write(root / ".gitignore", ignore)
        assert set(_walk.files(root)) == others(root)


@pytest.mark.parametrize("below", ["", "a", "a/b"])
def test_rules_of_the_folders_above_count(tmp_path: Path, below: str) -> None:
    git(tmp_path, "init", "-q")
    for path in ("a/b/keep", "a/b/drop.o", "a/b/c/x", "a/drop.o", "keep"):
        write(tmp_path / path)
    write(tmp_path / ".gitignore", "*.o\na/b/c/\n")
    root = tmp_path / below
    assert set(_walk.files(root)) == others(root) == set(select(root).files)


def test_an_ignored_folder_gives_only_what_is_tracked_in_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path / "out" / "tracked")
    git(tmp_path, "add", "out/tracked")
    write(tmp_path / "out" / "other")
    write(tmp_path / ".gitignore", "out/\n")
    assert set(_walk.files(tmp_path / "out")) == set(select(tmp_path / "out").files) == {"tracked"}


def test_the_users_own_excludes_count_in_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, root = tmp_path / "home", tmp_path / "repo"
    write(home / ".gitconfig", f"[core]\n\texcludesFile = {home}/mine\n")
    write(home / "mine", "*.swp\n")
    write(root / "a.swp")
    write(root / "a")
    git(root, "init", "-q")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert select(root).files == ("a",)
    monkeypatch.setenv("PATH", "/nowhere")
    assert select(root).files == ("a",)


@pytest.mark.parametrize(
    ("pattern", "path", "matched"),
    [
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("**/b", "x/b", True),
        ("a/**", "a", False),
        ("a**b", "axxb", True),
        ("/a", "x/a", False),
        ("a/b", "x/a/b", False),
        ("a ", "a", True),
        ("a\\ ", "a ", True),
        ("\\#a", "#a", True),
        ("?", "é", False),
        ("[!a]", "b", True),
        ("[", "[", False),
    ],
)
def test_a_pattern_matches_as_in_git(tmp_path: Path, pattern: str, path: str, matched: bool) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path / path)
    write(tmp_path / ".git" / "info" / "exclude", pattern)
    assert (path not in others(tmp_path)) is matched
    assert _wildmatch.matches(_wildmatch.parse_lines([pattern]), path) is matched
