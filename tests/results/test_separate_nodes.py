"""What the nodes of a task keep that share no folder: each brings its own, and it is read as one."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from flow_core.client import Flow
from flow_core.results import sweep
from flow_web_store import Kept, Server

MAKE = "echo said $RANK; echo $RANK | tee same >own.$RANK; test $RANK = 1 && echo one >only || true"


@pytest.fixture
def apart(tmp_path: Path, home: Path, web: Server, work: Path, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A client whose provider gives each rank a folder of its own, below ``nodes/<rank>``."""
    info = tmp_path / "apart_site" / "apart-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: apart\nVersion: 1.0\nRequires-Dist: flow-core>=1,<2\n")
    (info / "entry_points.txt").write_text(
        "[flow.providers]\napart = flow_apart:ApartProvider\nholding = flow_apart:HoldingProvider\n"
    )
    monkeypatch.syspath_prepend(str(info.parent))
    (tmp_path / "nodes").mkdir()
    with (home / "config.yaml").open("a") as file:
        file.write("default: apart\nprofiles:\n")
        for name in ("apart", "holding"):
            file.write(f"  {name}: {{provider: {name}, root: '{tmp_path}/nodes'}}\n")
    return Flow(work)


@pytest.mark.parametrize("store", ["web", "signed", "plain"])
def test_the_outputs_of_all_nodes_are_kept_by_themselves_or_by_the_client(
    apart: Flow, web: Server, kept: Kept, store: str
) -> None:
    task = apart.run(MAKE, num_instances=3, outputs=["same", "own.*", "only"], result_store=store, stream=False)

    assert (task.exit_code, kept(apart, task)) == (0, "kept")
    assert {one.path: (one.rank, one.open().read()) for one in task.artifacts} == {
        "only": (1, b"one\n"),
        **{f"own.{rank}": (rank, b"%d\n" % rank) for rank in range(3)},
        **{f"rank-{rank}/same": (rank, b"%d\n" % rank) for rank in range(3)},
    }
    names = ["final.json", "nodes/1.json", "nodes/2.json"]
    assert web.stored("tasks/") == [f"tasks/{task.id}/{name}" for name in names]


def test_the_logs_of_all_nodes_are_there_when_the_nodes_are_gone(apart: Flow, kept: Kept, tmp_path: Path) -> None:
    task = apart.run("echo said $RANK", num_instances=2, result_store="web", stream=False)
    assert kept(apart, task) == "kept"
    for rank in "01":
        (tmp_path / "nodes" / rank).rename(tmp_path / f"gone-{rank}")
        (tmp_path / "nodes" / rank).mkdir()

    assert {(chunk.rank, chunk.data) for chunk in task.logs()} == {(0, b"said 0\n"), (1, b"said 1\n")}
    place, deadline = os.fsencode(tmp_path / "nodes"), time.monotonic() + 30
    while running := [pid for pid in psutil.pids() if place in command_line(pid)]:
        assert time.monotonic() < deadline, f"still waits for another node: {running}"
        time.sleep(0.05)


def command_line(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def test_what_lies_on_the_nodes_is_listed_as_it_will_be_in_the_store(apart: Flow, web: Server, kept: Kept) -> None:
    web.refuse_after = 0
    task = apart.run(MAKE, num_instances=2, outputs=["same", "only"], result_store="web", stream=False)

    found = {one.path: b"".join(one.read()) for one in task.artifacts}
    assert found == {"only": b"one\n", "rank-0/same": b"0\n", "rank-1/same": b"1\n"}
    web.refuse_after = None
    assert kept(apart, task) == "kept"
    assert {one.path for one in task.artifacts} == found.keys()


def test_a_file_that_is_named_as_that_of_a_rank_takes_nobodys_place(apart: Flow, kept: Kept) -> None:
    command = "echo $RANK >x; test $RANK = 1 || { mkdir rank-1; echo other >rank-1/x; }"
    task = apart.run(command, num_instances=2, outputs=["x", "rank-1"], result_store="web", stream=False)

    assert kept(apart, task) == "kept"
    assert [one.path for one in task.artifacts] == ["rank-0/rank-1/x", "rank-0/x", "rank-1/x"]


def test_a_glob_that_one_node_has_files_for_is_not_missing(apart: Flow, kept: Kept) -> None:
    task = apart.run("test $RANK = 0 || echo x >there", num_instances=2, outputs=["there", "none"], stream=False)

    kept(apart, task)
    row = apart.session.journal.keeping(task.id)
    assert row is not None
    assert row.error == "no file matches none"


def test_a_node_that_is_gone_is_named_and_the_others_are_kept(apart: Flow, web: Server, kept: Kept) -> None:
    task = apart.run(MAKE, num_instances=3, outputs=["own.*"], result_store="web", stream=False)
    assert kept(apart, task) == "kept"
    web.path(f"tasks/{task.id}/nodes/2.json").unlink()
    apart.session.journal.mark_keeping(task.id, "open")

    assert kept(apart, task) == "kept"
    row = apart.session.journal.keeping(task.id)
    assert row is not None
    assert row.error == "nothing came of rank 2, whose machine has gone"
    assert [one.path for one in task.artifacts] == ["own.0", "own.1"]


def test_rank_0_waits_for_the_others_only_as_long_as_for_the_store(
    apart: Flow, home: Path, kept: Kept, tmp_path: Path
) -> None:
    config = home / "config.yaml"
    config.write_text(config.read_text().replace("leave: 'POST'}", "leave: 'POST', wait: 1s}"))
    # The second node loses its leave, as one that is taken back at the end.
    away = "test $RANK = 0 || rm -rf $FLOW_APART/1/*/secrets"
    flow = Flow(apart.session.cwd)
    task = flow.run(away, num_instances=2, result_store="web", env={"FLOW_APART": f"{tmp_path}/nodes"}, stream=False)

    assert kept(flow, task) == "kept"
    row = flow.session.journal.keeping(task.id)
    assert row is not None
    assert row.error == "nothing came of rank 1, whose machine has gone"


def test_the_bytes_of_every_node_are_named_for_the_sweep(apart: Flow, web: Server, kept: Kept) -> None:
    task = apart.run(MAKE, num_instances=2, outputs=["own.*"], result_store="web", stream=False)
    assert kept(apart, task) == "kept"
    for path in web.folder.iterdir():
        os.utime(path, (0, 0))

    assert sweep(apart.result_store("web"), None).objects == 0
    assert sorted(b"".join(one.read()) for one in task.artifacts) == [b"0\n", b"1\n"]
    assert task.remove_kept()
    assert web.stored("tasks/") == []


def test_an_uploader_that_was_killed_goes_on_and_meets_the_others(apart: Flow, web: Server, kept: Kept) -> None:
    web.refuse_after = 1
    task = apart.run(MAKE, num_instances=2, outputs=["own.*"], result_store="web", stream=False)
    web.refuse_after = None

    assert kept(apart, task) == "kept"
    final = json.loads(web.path(f"tasks/{task.id}/final.json").read_text())
    assert (final["nodes"], len(task.artifacts)) == (2, 2)


@pytest.mark.parametrize("store", ["web", "plain"])
def test_who_was_killed_before_it_gave_the_machines_back_is_followed_by_who_does(
    apart: Flow, kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    task = apart.submit("echo one >a", outputs=["a"], result_store=store, provider="holding")
    with monkeypatch.context() as patch:
        patch.setattr("flow_core.client._keeping._let_go", die)
        with pytest.raises(KeyboardInterrupt):
            kept(apart, task)
    assert not (tmp_path / "released").exists()

    assert kept(Flow(apart.session.cwd), task) == "kept"
    assert len((tmp_path / "released").read_text().splitlines()) == 1


def test_machines_that_cannot_be_given_back_now_are_given_back_by_a_later_look(
    apart: Flow, kept: Kept, tmp_path: Path
) -> None:
    (tmp_path / "down").touch()
    task = apart.run("echo one >a", outputs=["a"], result_store="plain", provider="holding", stream=False)
    apart.refresh([task.id])
    (tmp_path / "down").unlink()

    assert kept(apart, task) == "kept"
    assert (tmp_path / "released").exists()
