"""What a task keeps, seen through its node: here, and behind a real sshd."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flow_core import nodes
from flow_core.bundle import build
from flow_core.errors import NotFoundError
from flow_core.nodes import Node, open_node
from flow_core.types import NodeAccess, ProviderFacts, Submission, TaskConfig, new_request_id

if TYPE_CHECKING:
    from conftest import Sshd

PATIENCE = 30.0


def wait_for(path: Path, gone: bool = False) -> None:
    deadline = time.monotonic() + PATIENCE
    while path.exists() is gone:
        assert time.monotonic() < deadline, path
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A task's folder after its end; it kept ``a b``, a result and its log."""
    request_id, config = (
        new_request_id(),
        TaskConfig(command='echo said; seq 1000 >"a b"; echo value >$FLOW_TASK_DIR/result', outputs=("a*",)),
    )
    bundle = build(
        config,
        task_id="t1",
        request_id=request_id,
        name="n",
        facts=ProviderFacts(shares_client_files=True),
        secrets={},
        cwd=tmp_path,
        created_at=time.time(),
    )
    found = nodes.stage(tmp_path / "root", Submission(request_id, "t1", "toy", "toy", config, bundle))
    nodes.spawn(found, 0)
    wait_for(found / "final.json")
    return found


@pytest.fixture(params=["folder", "ssh"])
def node(request: pytest.FixtureRequest, folder: Path) -> Iterator[Node]:
    access = NodeAccess(0, "folder", str(folder))
    state = folder.parent
    if request.param == "ssh":
        sshd: Sshd = request.getfixturevalue("sshd")
        access = NodeAccess(
            0,
            "ssh",
            str(folder),
            host="127.0.0.1",
            port=sshd.port,
            host_keys=(sshd.public_host_key,),
            identity_file=str(sshd.key),
        )
        state = sshd.folder / "state"
    node = open_node(access, state)
    yield node
    node.close()


def test_a_node_says_what_its_task_keeps(node: Node) -> None:
    found = node.kept()
    things = [(thing["kind"], thing["path"]) for thing in found["things"] if not thing["path"].endswith(".idx")]
    assert ("artifact", "a b") in things
    assert ("result", "result") in things
    assert ("log", "attempts/1/0/stdout") in things
    assert (found["report"]["state"], found["pending"], found["missing"]) == ("succeeded", False, [])


def test_a_kept_thing_is_read_from_an_offset(node: Node) -> None:
    assert b"".join(node.read_kept("result", "result")) == b"value\n"
    assert b"".join(node.read_kept("artifact", "a b", 3886)) == b"9\n1000\n"


def test_what_a_task_does_not_keep_is_not_read(node: Node) -> None:
    with pytest.raises(NotFoundError):
        list(node.read_kept("artifact", "bundle.json"))


def test_an_upload_goes_on_with_fresh_tickets(node: Node, folder: Path, tmp_path: Path) -> None:
    (folder / "tickets.json").write_text(json.dumps({"blobs": {}, "final": {}}))
    store = tmp_path / "store"
    (store / "blobs").mkdir(parents=True)
    tickets = {
        "blobs": {"method": "PATH", "url": str(store / "blobs")},
        "final": {"method": "PATH", "url": str(store / "final.json")},
    }
    node.resume_upload(json.dumps(tickets).encode())
    wait_for(folder / "tickets.json", gone=True)
    kept = {thing["path"]: thing for thing in json.loads((store / "final.json").read_text())["things"]}
    assert (store / "blobs" / kept["result"]["sha256"]).read_text() == "value\n"
