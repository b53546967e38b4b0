"""Code that a machine fetches from a store by itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from flow_core import runner
from flow_core.bundle import select
from flow_core.client import Flow
from flow_core.errors import CapabilityError
from flow_core.faces import ResultStore
from flow_core.results import discard_start, publish_code, publish_start
from flow_core.types import Bundle, SecretBox, Submission, TaskConfig
from flow_web_store import Server

TASK, REQUEST = "t00000000000000aa", "flow-00000000000000000000000000"


@pytest.fixture
def tree(work: Path) -> Path:
    (work / "pkg").mkdir()
    (work / "run.sh").write_text("#!/bin/sh\ncat pkg/data.txt pkg/same.txt; cat link; printf %s $TOKEN\n")
    (work / "run.sh").chmod(0o755)
    (work / "pkg" / "data.txt").write_text("data\n")
    (work / "pkg" / "same.txt").write_text("data\n")
    (work / "link").symlink_to("pkg/data.txt")
    return work


def submission(tree: Path) -> Submission:
    document = {
        "schema": "flow.bundle/1",
        "task_id": TASK,
        "request_id": REQUEST,
        "command": {"argv": ["./run.sh"]},
        "code": {"mode": "snapshot", "root": None},
        "secrets": {"names": {"TOKEN": "TOKEN"}, "files": {}},
    }
    chosen = select(tree)
    box = SecretBox({"TOKEN": "sesame"})
    bundle = Bundle(document, secrets=box, code=str(tree), code_files=chosen.files)
    return Submission(REQUEST, TASK, "far", "far", TaskConfig(command="./run.sh"), bundle)


def start(url: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Do what a machine does that has the runner and one URL."""
    done = subprocess.run(runner.command("fetch", str(folder)), input=url.encode(), capture_output=True, check=False)
    if done.returncode:
        return done
    return subprocess.run(runner.command("run", str(folder), "0"), capture_output=True, check=False)


@pytest.fixture
def store(flow: Flow, web: Server) -> ResultStore:
    return flow.result_store("web")


def test_a_machine_with_one_url_runs_the_code_with_its_secrets(store: ResultStore, tree: Path, tmp_path: Path) -> None:
    sent = publish_code(store, submission(tree), 60.0)
    ticket = publish_start(store, sent, 60.0)
    folder = tmp_path / "node" / REQUEST
    folder.parent.mkdir()
    done = start(ticket.url, folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "attempts/1/0/stdout").read_text() == "data\ndata\ndata\nsesame"
    assert ("sign=" in (folder / "bundle.json").read_text(), (folder / "secrets").exists()) == (False, False)
    discard_start(store, TASK)
    assert list(store.list(f"tasks/{TASK}/start")) == []


def test_the_same_tree_uploads_nothing_and_a_changed_file_only_itself(
    store: ResultStore, web: Server, tree: Path
) -> None:
    publish_code(store, submission(tree), 60.0)
    before = list(web.puts)
    assert len([key for key in before if key.startswith("blobs/")]) == 2  # equal files are one object
    publish_code(store, submission(tree), 60.0)
    assert web.puts == before
    (tree / "pkg" / "data.txt").write_text("other\n")
    web.path(f"tasks/{TASK}/code.json").unlink()
    publish_code(store, submission(tree), 60.0)
    assert [key.partition("/")[0] for key in web.puts[len(before) :]] == ["tasks", "blobs", "trees"]


def test_code_that_was_damaged_on_its_way_does_not_run(
    store: ResultStore, web: Server, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = publish_code(store, submission(tree), 60.0)
    code = sent.bundle.document["code"]
    assert isinstance(code, dict)
    ran = next(file for file in code["files"] if file["path"] == "run.sh")
    web.path(f"blobs/{ran['sha256']}").write_text("#!/bin/sh\necho wrong\n")
    folder = tmp_path / REQUEST
    monkeypatch.setenv("FLOW_RUNNER_PATIENCE", "0")
    done = start(publish_start(store, sent, 60.0).url, folder)
    assert done.returncode == 125
    assert "not what was sent" in json.loads((folder / "final.json").read_text())["reason"]


def test_a_store_without_leave_for_far_machines_says_so(flow: Flow, tree: Path) -> None:
    with pytest.raises(CapabilityError, match="elsewhere"):
        publish_code(flow.result_store("folder"), submission(tree), 60.0)
    assert publish_code(flow.result_store("folder"), submission(tree), 60.0, shared=True).bundle.code is None


@pytest.mark.parametrize("path", ["../escape", "/escape"])
def test_a_tree_that_leads_out_is_refused(store: ResultStore, tree: Path, tmp_path: Path, path: str) -> None:
    sent = publish_code(store, submission(tree), 60.0)
    code = sent.bundle.document["code"]
    assert isinstance(code, dict)
    code["files"][0]["path"] = path
    assert start(publish_start(store, sent, 60.0).url, tmp_path / REQUEST).returncode == 125
    assert not (tmp_path / "escape").exists()
