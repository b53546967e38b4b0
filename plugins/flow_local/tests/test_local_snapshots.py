"""What a file system lets volumes do: limits, snapshots that share bytes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from flow_core import ConflictError, Flow, NotFoundError, UnavailableError, nodes

pytestmark = pytest.mark.skipif(bool(nodes.mounts_impossible()), reason=f"no mounts here: {nodes.mounts_impossible()}")


def profile(home: Path, **settings: object) -> None:
    lines = "".join(
        f", {key}: {str(value).lower() if isinstance(value, bool) else value}" for key, value in settings.items()
    )
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text(f"default: here\nprofiles:\n  here: {{provider: local{lines}}}\n")
    (home / "config.yaml").chmod(0o600)


@pytest.fixture
def on_btrfs(btrfs: Path, home: Path) -> Path:
    root = btrfs / home.parent.name
    profile(home, root=root)
    return root


def used(folder: Path) -> int:
    out = subprocess.run(["df", "--output=used", "-B1", str(folder)], capture_output=True, text=True, check=True)
    return int(out.stdout.split()[1])


def test_a_size_is_enforced_where_there_are_quotas(on_btrfs: Path, flow: Flow) -> None:
    volume = flow.create_volume("small", size_gb=1)
    subprocess.run(["btrfs", "qgroup", "limit", "5000000", str(on_btrfs / "volumes/small/data")], check=True)
    task = flow.submit("dd if=/dev/zero of=/volumes/small/x bs=1M count=20", volumes=["small"])

    assert (volume.note, volume.kind) == ("", "subvolume")
    assert task.wait() != 0
    assert b"quota" in b"".join(chunk.data for chunk in task.logs()).lower()


def test_the_limit_is_the_size(on_btrfs: Path, flow: Flow) -> None:
    flow.create_volume("two", size_gb=2)
    argv = ["btrfs", "qgroup", "show", "-r", "--raw", "-f", str(on_btrfs / "volumes/two/data")]

    assert "2000000000" in subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_a_size_that_is_not_enforced_is_said(flow: Flow) -> None:
    volume = flow.create_volume("data", size_gb=1)

    assert "not enforced" in volume.note
    assert "file system" in volume.note


def test_a_task_is_told_that_the_size_of_its_new_volume_is_not_enforced(flow: Flow) -> None:
    config = flow.config("true", volumes=[{"name": "new", "size_gb": 1, "create": True}])

    assert [problem.code for problem in flow.provider().check(config)] == ["NOT_ENFORCED"]


def test_a_snapshot_of_a_subvolume_is_taken_while_a_task_writes(on_btrfs: Path, flow: Flow, project: Path) -> None:
    flow.create_volume("data")
    (on_btrfs / "volumes/data/data/big").write_bytes(b"x" * (20 << 20))
    subprocess.run(["sync", "-f", str(on_btrfs)], check=True)
    before = used(on_btrfs)
    task = flow.submit("while [ ! -e go ]; do sleep 0.02; done", volumes=["data"])
    flow.snapshot_volume("data", "copy")
    subprocess.run(["sync", "-f", str(on_btrfs)], check=True)
    (project / "go").touch()
    task.wait(timeout=20)

    assert (on_btrfs / "volumes/copy/data/big").stat().st_size == 20 << 20
    assert used(on_btrfs) - before < 5 << 20


def test_a_snapshot_on_xfs_shares_the_bytes_and_nothing_that_is_written_later(
    xfs: Path, home: Path, flow: Flow
) -> None:
    root = xfs / home.parent.name
    profile(home, root=root)
    flow = Flow()
    flow.create_volume("data")
    (root / "volumes/data/data/big").write_bytes(b"x" * (20 << 20))
    subprocess.run(["sync", "-f", str(root)], check=True)
    before = used(root)
    flow.snapshot_volume("data", "copy")
    subprocess.run(["sync", "-f", str(root)], check=True)

    assert used(root) - before < 5 << 20
    (root / "volumes/data/data/big").write_bytes(b"y")
    assert (root / "volumes/copy/data/big").read_bytes() == b"x" * (20 << 20)


def test_without_shared_bytes_a_snapshot_is_refused(home: Path, flow: Flow) -> None:
    flow.create_volume("data")
    (home / "state/local/volumes/data/data/x").write_text("here")

    with pytest.raises(UnavailableError, match="cannot share") as raised:
        flow.snapshot_volume("data", "copy")
    assert "snapshot_copies" in raised.value.hint
    assert [volume.name for volume in flow.volumes()] == ["data"]


def test_a_plain_copy_is_made_when_it_is_asked_for(home: Path, flow: Flow) -> None:
    profile(home, snapshot_copies=True)
    flow = Flow()
    flow.create_volume("data")
    flow.submit("echo one > /volumes/data/x", volumes=["data"]).wait()
    flow.snapshot_volume("data", "copy")
    flow.submit("echo two > /volumes/data/x", volumes=["data"]).wait()

    assert (home / "state/local/volumes/copy/data/x").read_text() == "one\n"


def test_a_copy_is_refused_while_a_task_uses_the_volume(home: Path, flow: Flow, project: Path) -> None:
    profile(home, snapshot_copies=True)
    flow = Flow()
    flow.create_volume("data")
    task = flow.submit("while [ ! -e go ]; do sleep 0.02; done", volumes=["data"])

    with pytest.raises(ConflictError, match=task.id):
        flow.snapshot_volume("data", "copy")
    (project / "go").touch()
    task.wait(timeout=20)


def test_a_snapshot_takes_no_name_that_is_taken_and_needs_a_volume(home: Path, flow: Flow) -> None:
    profile(home, snapshot_copies=True)
    flow = Flow()
    flow.create_volume("data")
    flow.create_volume("other")

    with pytest.raises(ConflictError, match="other"):
        flow.snapshot_volume("data", "other")
    with pytest.raises(NotFoundError, match="nothing"):
        flow.snapshot_volume("nothing", "copy")
