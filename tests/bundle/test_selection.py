"""Which files make a snapshot."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from flow_core.bundle import select
from flow_core.errors import ConfigError


@pytest.fixture(autouse=True)
def own_git_config(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text('[user]\nname = n\nemail = e@example.org\n[protocol "file"]\nallow = always\n')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def git(folder: Path, *args: str) -> None:
    subprocess.run(["git", "-C", str(folder), *args], check=True, capture_output=True)


def fill(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


@pytest.fixture(params=["with git", "repository without git", "no repository"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "r").mkdir()
    if request.param != "no repository":
        git(tmp_path / "r", "init", "-q")
    if request.param == "repository without git":
        monkeypatch.setenv("PATH", "/nowhere")
    return tmp_path / "r"


def test_ignored_files_stay_here(root: Path) -> None:
    fill(root, "a.py", "b.o", "out/c", "sub/d.o", "sub/e.o", ".gitignore")
    (root / ".gitignore").write_text("*.o\nout/\n")
    (root / "sub" / ".gitignore").write_text("!e.o\n")
    assert select(root).files == (".gitignore", "a.py", "sub/.gitignore", "sub/e.o")


def test_sizes_are_counted_and_the_biggest_named(root: Path) -> None:
    for count in range(7):
        (root / f"f{count}").write_bytes(b"x" * count)
    found = select(root)
    assert found.total_bytes == 21
    assert found.biggest == (("f6", 6), ("f5", 5), ("f4", 4), ("f3", 3), ("f2", 2))


@pytest.mark.parametrize(
    "name", [".env", ".env.local", "a/server.pem", "tls.key", "id_rsa", "id_ed25519", ".netrc", "credentials.json"]
)
def test_what_looks_like_a_key_stays_here_and_is_reported(root: Path, name: str) -> None:
    fill(root, "train.py", name)
    found = select(root)
    assert (found.files, found.left_out_secrets) == (("train.py",), (name,))


@pytest.mark.parametrize("include", [[".env"], ["conf/.env"], [".env*"], ["/conf/.env"]])
def test_a_key_that_an_include_names_is_taken(root: Path, include: list[str]) -> None:
    assert select(fill(root, "conf/.env"), include).files == ("conf/.env",)


@pytest.mark.parametrize("include", [["conf/"], ["*"], ["**"], ["!.env"]])
def test_an_include_that_does_not_name_the_key_leaves_it_out(root: Path, include: list[str]) -> None:
    assert select(fill(root, "conf/.env"), include).left_out_secrets == ("conf/.env",)


@pytest.mark.parametrize("name", ["id_rsa.pub", ".env.example", "credentials.py", "keys.py"])
def test_what_only_sounds_like_a_key_is_taken(root: Path, name: str) -> None:
    assert select(fill(root, name)).files == (name,)


def test_include_brings_back_what_is_ignored(root: Path) -> None:
    fill(root, "a.py", "data/big.bin", "data/x.tmp", "other/y.bin")
    (root / ".gitignore").write_text("data/\nother/\n.gitignore\n")
    assert select(root, ["data/*", "!*.tmp"]).files == ("a.py", "data/big.bin")


def test_exclude_wins_over_include_and_tracking(root: Path) -> None:
    fill(root, "a.py", "docs/b", "docs/keep")
    assert select(root, ["docs/"], ["docs/*", "!docs/keep"]).files == ("a.py", "docs/keep")


def test_links_are_taken_as_links_and_those_that_lead_outside_are_named(root: Path) -> None:
    fill(root, "dir/a")
    (root / "inside").symlink_to("dir")
    (root / "dir" / "dangling").symlink_to("nowhere")
    (root / "dir" / "out").symlink_to("../../elsewhere")
    (root / "absolute").symlink_to("/etc/hostname")
    found = select(root)
    assert found.files == ("absolute", "dir/a", "dir/dangling", "dir/out", "inside")
    assert found.outside_links == ("absolute", "dir/out")


def test_sockets_and_pipes_are_not_taken(root: Path) -> None:
    fill(root, "a")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(root / "socket"))
        assert select(root, ["*"]).files == ("a",)


def test_names_of_any_bytes_are_kept(root: Path) -> None:
    strange = ["line\nbreak", 'quo"te', "tab\t", os.fsdecode(b"\xff\xfe"), " lead", "trail ", "*"]
    for name in strange:
        (root / name).write_text("")
    assert set(select(root).files) == set(strange)


def test_the_repository_itself_is_never_taken(root: Path) -> None:
    fill(root, "a")
    assert select(root, ["*", ".git/**", ".git"]).files == ("a",)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        select(tmp_path / "none")


def test_tracked_files_are_taken_although_ignored_and_not_when_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "kept.o", "deleted.py", "out/kept")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    (tmp_path / "deleted.py").unlink()
    (tmp_path / ".gitignore").write_text("*.o\nout/\n")
    assert select(tmp_path).files == (".gitignore", "kept.o", "out/kept")
    monkeypatch.setenv("PATH", "/nowhere")
    assert select(tmp_path).files == (".gitignore", "kept.o", "out/kept")


def test_a_tracked_folder_that_became_a_link_is_taken_as_the_link(tmp_path: Path) -> None:
    fill(tmp_path, "d/x", "e/x")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    (tmp_path / "d" / "x").unlink()
    (tmp_path / "d").rmdir()
    (tmp_path / "d").symlink_to("e")
    assert select(tmp_path).files == ("d", "e/x")


@pytest.mark.parametrize("path", ["", "/nowhere"])
def test_submodules_and_inner_repositories_are_taken_by_their_own_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    library, root = fill(tmp_path / "lib", "code.py"), fill(tmp_path / "root", "main.py", "inner/x", "inner/x.o")
    git(library, "init", "-q")
    git(library, "add", ".")
    git(library, "commit", "-qm", "one")
    git(root, "init", "-q")
    git(root, "submodule", "add", "-q", str(library), "vendor/lib")
    git(root / "inner", "init", "-q")
    git(root / "inner", "add", "x")
    git(root / "inner", "commit", "-qm", "one")
    (root / "inner" / ".gitignore").write_text("*.o\n")
    (root / "vendor" / "lib" / "new.py").write_text("")
    if path:
        monkeypatch.setenv("PATH", path)
    expected = (".gitmodules", "inner/.gitignore", "inner/x", "main.py", "vendor/lib/code.py", "vendor/lib/new.py")
    assert select(root).files == expected


def test_a_git_hook_that_calls_us_does_not_point_us_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fill(tmp_path / "a", "mine") / "sub").mkdir()
    git(fill(tmp_path / "b", "theirs"), "init", "-q")
    git(tmp_path / "a", "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "b" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "b"))
    assert select(tmp_path / "a").files == ("mine",)


def test_a_repository_that_git_refuses_is_walked(tmp_path: Path) -> None:
    fill(tmp_path, "a", "b.o")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("*.o\n")
    assert select(tmp_path).files == (".gitignore", "a")


def test_a_folder_that_cannot_be_read_is_an_error(unprivileged: Path) -> None:
    (unprivileged / "closed").mkdir(mode=0)
    with pytest.raises(ConfigError, match="cannot read the folder"):
        select(unprivileged)
