"""Volumes and mounts: folders that outlive tasks, at the paths that the config names."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from flow_core import ConflictError, Flow, NotFoundError, nodes
from flow_local import _volumes

pytestmark = pytest.mark.skipif(bool(nodes.mounts_impossible()), reason=f"no mounts here: {nodes.mounts_impossible()}")


def output(task: object) -> bytes:
    return b"".join(chunk.data for chunk in task.logs(follow=True))  # type: ignore[attr-defined]


def test_what_one_task_wrote_another_reads(flow: Flow) -> None:
    assert flow.submit("echo model > /volumes/data/model", volumes=[{"name": "data", "create": True}]).wait() == 0

    assert output(flow.submit("cat /volumes/data/model", volumes=["data"])) == b"model\n"


def test_a_read_only_volume_cannot_be_written(flow: Flow) -> None:
    flow.create_volume("data")
    task = flow.submit("touch /volumes/data/x", volumes=[{"name": "data", "read_only": True}])

    assert task.wait() != 0


def test_a_folder_is_mounted_where_the_config_says(flow: Flow, project: Path) -> None:
    (project / "input").mkdir()
    (project / "input" / "x").write_text("seen")

    assert output(flow.submit("cat /somewhere/else/x", mounts=["./input:/somewhere/else:ro"])) == b"seen"
    assert not Path("/somewhere").exists()


def test_a_volume_can_be_mounted_by_name_elsewhere(flow: Flow) -> None:
    flow.create_volume("data")
    flow.submit("echo 1 > /v/x", mounts=["volume:data:/v"]).wait()

    assert output(flow.submit("cat /volumes/data/x", volumes=["data"])) == b"1\n"


def test_volumes_are_listed_and_deleted_by_name(flow: Flow) -> None:
    flow.create_volume("data", size_gb=3)

    assert [(volume.name, volume.size_gb) for volume in flow.volumes()] == [("data", 3)]
    assert flow.delete_volume("data") is True
    assert flow.volumes() == []
    with pytest.raises(NotFoundError, match="data"):
        flow.delete_volume("data")


def test_a_name_is_given_once(flow: Flow) -> None:
    flow.create_volume("data")

    with pytest.raises(ConflictError, match="data"):
        flow.create_volume("data")


def test_a_volume_in_use_is_not_deleted(flow: Flow, project: Path) -> None:
    flow.create_volume("data")
    task = flow.submit("while [ ! -e go ]; do sleep 0.02; done", volumes=["data"])

    with pytest.raises(ConflictError, match=task.id):
        flow.delete_volume("data")

    (project / "go").touch()
    task.wait(timeout=20)
    assert flow.delete_volume("data") is True
    assert [row.phase for row in flow.session.journal.resources(kind="volume")] == ["released"]


def test_a_task_that_is_put_away_while_it_is_looked_at_keeps_no_volume(
    flow: Flow, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.create_volume("data")
    task = flow.submit("while [ ! -e go ]; do sleep 0.02; done", volumes=["data"])
    tasks = Path(os.environ["FLOW_HOME"]) / "state/local/tasks"

    def put_away(text: bytes) -> object:
        if task.id.encode() in text:  # between the two looks at its folder
            (project / "go").touch()
            task.wait(timeout=20)
            end = time.monotonic() + 20
            while list(tasks.glob("flow-*")) and time.monotonic() < end:
                time.sleep(0.01)
        return json.loads(text)

    monkeypatch.setattr(_volumes, "json", SimpleNamespace(loads=put_away))
    assert flow.provider().delete_volume("data") is True


def test_a_mount_that_fails_is_not_the_tasks_own_exit_code(flow: Flow, project: Path) -> None:
    (project / "file").write_text("x")
    task = flow.submit("exit 2", mounts=["./file:/usr"])

    assert task.wait() == 125
    assert "the source is a file, the target a folder" in task.reason


def test_who_sweeps_leaves_a_volume_alone_that_is_about_to_be_deleted_and_may_come_back(
    flow: Flow, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.create_volume("data")
    folder = home / "state/local/volumes"
    (folder / "data/data/file").write_text("kept")
    users = _volumes.Volumes._users
    swept: list[str] = []

    def a_task_comes(self: _volumes.Volumes, name: str) -> object:
        deleted = list(folder.glob(".data.*.deleted"))
        if deleted and not swept:
            swept.append(name)
            os.utime(deleted[0], (0, 0))
            Flow().create_volume("other")
            return iter(["t1"])
        return users(self, name)

    monkeypatch.setattr(_volumes.Volumes, "_users", a_task_comes)
    with pytest.raises(ConflictError, match="used by t1"):
        flow.delete_volume("data")
    assert (folder / "data/data/file").read_text() == "kept"
