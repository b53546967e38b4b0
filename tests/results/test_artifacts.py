"""What a task's ``outputs`` name outlives it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flow_core.client import Flow
from flow_core.errors import ConfigError, ConflictError, NotFoundError, StateError, UnavailableError
from flow_web_store import Kept, Server

MAKE = "mkdir -p out/deep && echo one >out/deep/a.txt && echo two >b.txt && chmod 755 b.txt"


def test_artifacts_stay_as_they_were_at_the_end(flow: Flow, work: Path, kept: Kept) -> None:
    task = flow.run(MAKE, outputs=["out", "*.txt"], stream=False)
    assert kept(flow, task) == "kept"
    (work / "b.txt").write_text("changed")
    assert [(one.path, one.size, one.mode) for one in task.artifacts] == [
        ("b.txt", 4, 0o755),
        ("out/deep/a.txt", 4, task.artifacts[1].mode),
    ]
    assert task.artifacts[0].open().read() == b"two\n"


@pytest.mark.parametrize(
    ("glob", "paths"),
    [
        ("out", ["out/.hid", "out/a.pt", "out/deep/b.pt"]),
        ("out/**", ["out/.hid", "out/a.pt", "out/deep/b.pt"]),
        ("**/*.pt", ["out/a.pt", "out/deep/b.pt", "top.pt"]),
        ("*.pt", ["top.pt"]),
        ("./out/./a.pt", ["out/a.pt"]),
        ("out/[ab].p?", ["out/a.pt"]),
        ("away/*", []),
        ("leak", []),
        ("inner", ["inner"]),
    ],
)
def test_a_glob_names_files_and_folders_below_the_working_folder(
    flow: Flow, work: Path, kept: Kept, glob: str, paths: list[str]
) -> None:
    (work / "out" / "deep").mkdir(parents=True)
    for name in ("out/a.pt", "out/deep/b.pt", "out/.hid", "top.pt"):
        (work / name).write_text(name)
    (work.parent / "secret").mkdir()
    (work.parent / "secret" / "key").write_text("no")
    (work / "away").symlink_to(work.parent / "secret")
    (work / "leak").symlink_to(work.parent / "secret" / "key")
    (work / "inner").symlink_to("top.pt")
    os.mkfifo(work / "out" / "pipe")
    task = flow.run("true", outputs=[glob], stream=False)
    assert kept(flow, task) == "kept"
    assert [one.path for one in task.artifacts] == paths


def test_outputs_that_match_nothing_are_told_and_no_failure(flow: Flow, kept: Kept) -> None:
    task = flow.run("echo x >a", outputs=["a", "*.none"], stream=False)
    kept(flow, task)
    row = flow.session.journal.keeping(task.id)
    assert (task.status, row.error if row else "") == ("succeeded", "no file matches *.none")


def test_what_a_failed_task_left_is_kept_too(flow: Flow, kept: Kept) -> None:
    task = flow.run("echo half >part; exit 3", outputs=["part"], stream=False)
    assert kept(flow, task) == "kept"
    assert (task.exit_code, [one.path for one in task.artifacts]) == (3, ["part"])


def test_artifacts_of_a_running_task_are_not_known_yet(flow: Flow) -> None:
    task = flow.submit("sleep 30", outputs=["*"])
    with pytest.raises(UnavailableError, match="at its end"):
        _ = task.artifacts


def test_a_file_can_be_sought_in(flow: Flow, kept: Kept) -> None:
    task = flow.run("seq 100000 >n", outputs=["n"], stream=False)
    kept(flow, task)
    with task.artifacts[0].open() as file:
        file.seek(-7, os.SEEK_END)
        assert file.read() == b"100000\n"
        file.seek(2)
        assert file.read(4) == b"2\n3\n"


def test_a_download_is_whole_and_stays_in_its_folder(flow: Flow, work: Path, tmp_path: Path, kept: Kept) -> None:
    task = flow.run(MAKE, outputs=["out"], stream=False)
    kept(flow, task)
    target = task.artifacts[0].download(tmp_path / "here")
    assert (target, target.read_text()) == (tmp_path / "here" / "out" / "deep" / "a.txt", "one\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConflictError, match="outside"):
        task.artifacts[0].download(tmp_path / "trap")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("store", ["web", "signed", "plain"])
def test_a_store_over_http_gets_all_a_task_has_by_forms_by_urls_or_through_the_client(
    flow: Flow, web: Server, kept: Kept, store: str
) -> None:
    task = flow.run("echo said; echo one >a", outputs=["a"], result_store=store, stream=False)
    assert kept(flow, task) == "kept"
    assert task.artifacts[0].open().read() == b"one\n"
    assert [key for key in web.stored() if not key.startswith("blobs/")] == [f"tasks/{task.id}/final.json"]


def test_equal_bytes_of_two_tasks_are_one_object(flow: Flow, web: Server, kept: Kept) -> None:
    tasks = [flow.run("echo same >a", outputs=["a"], result_store="web", stream=False) for _ in range(2)]
    assert [kept(flow, task) for task in tasks] == ["kept", "kept"]
    sums = {task.artifacts[0].sha256 for task in tasks}
    assert len(sums) == 1
    assert len([key for key in web.stored("blobs/") if key == f"blobs/{next(iter(sums))}"]) == 1


def test_a_profile_chooses_the_store(flow: Flow, web: Server, home: Path, kept: Kept) -> None:
    with (home / "config.yaml").open("a") as file:
        file.write("profiles:\n  local: {result_store: web}\n")
    task = Flow(flow.session.cwd).run("echo hello", stream=False)
    assert kept(flow, task) == "kept"
    assert web.stored("tasks/") == [f"tasks/{task.id}/final.json"]


def test_a_store_that_is_not_configured_is_refused_before_anything_happens(flow: Flow) -> None:
    with pytest.raises(ConfigError, match="1 problem"):
        flow.run("true", result_store="nowhere", stream=False)
    assert flow.tasks() == []


def test_a_full_store_refuses_tasks_that_would_fill_it_further(flow: Flow, web: Server, home: Path, kept: Kept) -> None:
    (home / "config.yaml").write_text(f"result_stores:\n  folder: {{root: '{home}/kept', max_bytes: 1KiB}}\n")
    flow = Flow(flow.session.cwd)
    kept(flow, flow.run("head -c 2000 /dev/urandom >a", outputs=["a"], stream=False))
    with pytest.raises(ConfigError) as caught:
        flow.run("true", outputs=["a"], stream=False)
    assert [problem.code for problem in caught.value.problems] == ["STORE_FULL"]


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: bytes([data[0] ^ 1]) + data[1:]])
def test_a_damaged_object_is_an_error_and_never_a_wrong_value(
    flow: Flow, web: Server, kept: Kept, tmp_path: Path, damage: object
) -> None:
    task = flow.run("echo right >a", outputs=["a"], result_store="web", stream=False)
    kept(flow, task)
    path = web.path(f"blobs/{task.artifacts[0].sha256}")
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(StateError, match="damaged"):
        task.artifacts[0].download(tmp_path / "here")
    assert [found for found in (tmp_path / "here").rglob("*") if found.is_file()] == []


@pytest.mark.parametrize("path", ["../escape", "/escape", "a/../../escape"])
def test_a_manifest_with_a_path_that_leads_out_is_not_believed(flow: Flow, web: Server, kept: Kept, path: str) -> None:
    task = flow.run("echo x >harmless", outputs=["harmless"], result_store="web", stream=False)
    kept(flow, task)
    manifest = web.path(f"tasks/{task.id}/final.json")
    manifest.write_text(manifest.read_text().replace('"harmless"', f'"{path}"'))
    with pytest.raises(StateError, match="below a folder"):
        _ = task.artifacts


def test_removed_artifacts_are_gone_though_the_files_are_there(flow: Flow, kept: Kept) -> None:
    task = flow.run(MAKE, outputs=["out"], stream=False)
    kept(flow, task)
    assert task.remove_kept() is True
    with pytest.raises(NotFoundError, match="gone"):
        _ = task.artifacts
