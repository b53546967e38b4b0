"""``flow artifacts`` and ``flow gc``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Program


def kept(flow: Program) -> object:
    """Wait until the results of ``made`` are in their store; return what status says of them."""
    for _ in range(100):
        results = flow("status", "made", "--json").data[0]["results"]
        if results["phase"] == "kept":
            return results
    raise AssertionError(results)


def test_artifacts_are_listed_got_and_removed(flow: Program) -> None:
    flow("run", "--name", "made", "--output", "out", "mkdir out && echo one >out/a && echo two >out/b")

    listed = flow("artifacts", "list", "made", "--json")
    assert [(one["path"], one["bytes"]) for one in listed.data] == [("out/a", 4), ("out/b", 4)]

    got = flow("artifacts", "get", "made", "out/b", "--to", "here", "--json")
    assert [one["file"] for one in got.data] == ["here/out/b"]
    assert (flow.folder / "here" / "out" / "b").read_text() == "two\n"
    assert not (flow.folder / "here" / "out" / "a").exists()


def test_outputs_that_were_asked_and_are_not_there_are_told_at_the_end_and_change_no_exit_code(flow: Program) -> None:
    asked = ("--name", "made", "--output", "a", "--output", "out/*.pt", "--output", "none")
    ran = flow("run", *asked, "echo one >a")
    assert (ran.status, ran.err.splitlines()[-1]) == (0, "flow: no file matches the outputs out/*.pt, none")
    assert flow("run", "-q", *asked, "echo one >a").err == ""

    assert flow("wait", "made").err.splitlines()[-1] == "flow: no file matches the outputs out/*.pt, none"
    listed = flow("artifacts", "list", "made")
    assert (listed.status, listed.err.splitlines()[-1]) == (0, "flow: no file matches the outputs out/*.pt, none")


def test_an_artifact_that_is_not_there_is_named(flow: Program) -> None:
    flow("run", "--name", "made", "--output", "a", "echo one >a")

    answer = flow("artifacts", "get", "made", "a", "b")
    assert (answer.status, answer.out) == (66, "")
    assert "kept no b" in answer.last_line
    assert not (flow.folder / "here").exists()


def test_removing_wants_a_yes_where_nobody_can_be_asked(flow: Program) -> None:
    flow("run", "--name", "made", "--output", "a", "echo one >a")

    kept(flow)
    assert flow("artifacts", "rm", "made").status == 2
    assert flow("artifacts", "rm", "made", "--yes", "--json").envelope["error"] is None
    answer = flow("artifacts", "list", "made")
    assert (answer.status, answer.last_line.endswith("is gone from folder: removed")) == (66, True)


def test_status_says_where_the_results_are(flow: Program) -> None:
    flow("run", "--name", "made", "--output", "a", "--output", "none*", "echo one >a")

    assert kept(flow) == {"store": "folder", "phase": "kept", "files": 1, "bytes": 4, "error": "no file matches none*"}
    assert "results    1 files, 4 B in folder (no file matches none*)" in flow("status", "made").out


def test_gc_tells_what_it_would_remove(flow: Program) -> None:
    answer = flow("gc", "--dry-run", "--json")
    assert answer.data == [
        {"store": "folder", "tasks": [], "objects": 0, "freed": 0, "left": 0, "max_bytes": None, "error": ""}
    ]


def test_gc_sweeps_the_other_stores_where_one_cannot_be(flow: Program, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.yaml").write_text(
        f"result_stores: {{bad: {{store: folder, root: '{tmp_path}/file'}}}}\n"
    )
    (tmp_path / "file").mkdir()
    broken = tmp_path / "file" / "tasks+" / "t1+" / "final.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    answer = flow("gc")
    assert (answer.status, "bad was not swept" in answer.err, "folder  0" in answer.out) == (69, True, True)


def test_a_folder_that_cannot_be_made_is_told(flow: Program) -> None:
    flow("run", "--name", "made", "--output", "a", "echo one >a")
    answer = flow("artifacts", "get", "made", "--to", "/proc/nothing")
    assert (answer.status, "/proc/nothing" in answer.last_line) == (73, True)
