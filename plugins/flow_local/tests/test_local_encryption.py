"""Encrypted volumes: in the clear for their tasks alone, and only while these run."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from flow_core import ConfigError, Flow, TaskLostError, UnavailableError, nodes
from flow_local import _vault

pytestmark = [
    pytest.mark.skipif(bool(nodes.mounts_impossible()), reason=f"no mounts here: {nodes.mounts_impossible()}"),
    pytest.mark.skipif(_vault.impossible() is not None, reason=str(_vault.impossible())),
]


def served(home: Path) -> list[int]:
    """The gocryptfs processes of this state folder."""
    mark = os.fsencode(home / "state")
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"gocryptfs") and any(mark in word for word in words):
                found.append(int(entry))
    return found


def none_left(home: Path) -> bool:
    deadline = time.monotonic() + 10
    while served(home) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not served(home)


def running(flow: Flow, project: Path) -> object:
    """A task that has written to the volume and waits for the file ``go``."""
    flow.create_volume("safe", encrypted=True)
    command = (
        "echo secret > /volumes/safe/file; echo up; while [ ! -e go ]; do sleep 0.02; done; cat /volumes/safe/file"
    )
    task = flow.submit(command, volumes=["safe"], grace=5.0)
    next(chunk for chunk in task.logs(follow=True) if b"up" in chunk.data)
    return task


def test_what_one_task_wrote_the_next_one_reads_and_the_disk_does_not_tell(flow: Flow, home: Path) -> None:
    flow.create_volume("safe", encrypted=True)
    assert flow.submit("echo topsecret > /volumes/safe/plans", volumes=["safe"]).wait() == 0
    task = flow.submit("cat /volumes/safe/plans", volumes=["safe"])

    assert b"".join(chunk.data for chunk in task.logs(follow=True)) == b"topsecret\n"
    assert flow.volume("safe").encrypted
    files = [path for path in (home / "state/local/volumes").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"topsecret" in path.read_bytes() or "plans" in path.name]


def test_the_key_is_not_where_the_volume_is(flow: Flow, home: Path) -> None:
    flow.create_volume("safe", encrypted=True)
    (name,) = [name for name in _names(home) if name.startswith("volume-key/")]
    value = _vault.key(name, "safe")

    assert not [path for path in (home / "state").rglob("*") if path.is_file() and value.encode() in path.read_bytes()]


def _names(home: Path) -> list[str]:
    from flow_core.secrets import list_names, local_stores
    from flow_core.settings import paths

    return list(list_names(local_stores(paths().config_dir)))


def test_nothing_is_mounted_for_anybody_else_and_nothing_stays(flow: Flow, home: Path, project: Path) -> None:
    task = running(flow, project)

    assert str(home) not in Path("/proc/mounts").read_text()
    assert list((home / "state/local/volumes/safe/data").iterdir()) == []
    (project / "go").touch()
    assert task.wait(timeout=20) == 0  # type: ignore[attr-defined]
    assert none_left(home)


def test_a_checkpoint_is_written_when_the_task_is_cancelled(flow: Flow, home: Path) -> None:
    flow.create_volume("safe", encrypted=True)
    command = (
        "trap 'sleep 0.3; echo saved > /volumes/safe/checkpoint; exit 3' TERM; echo up; while :; do sleep 0.02; done"
    )
    task = flow.submit(command, volumes=["safe"], memory="100MiB")
    next(chunk for chunk in task.logs(follow=True) if b"up" in chunk.data)
    task.cancel(grace=10.0)
    task.wait(timeout=20)
    reader = flow.submit("cat /volumes/safe/checkpoint", volumes=["safe"])

    assert b"".join(chunk.data for chunk in reader.logs(follow=True)) == b"saved\n"


def test_two_tasks_use_it_at_once(flow: Flow, project: Path) -> None:
    task = running(flow, project)
    other = flow.submit("cat /volumes/safe/file; echo more > /volumes/safe/other", volumes=["safe"])

    assert other.wait(timeout=20) == 0
    (project / "go").touch()
    assert task.wait(timeout=20) == 0  # type: ignore[attr-defined]


def test_after_everything_was_killed_the_next_task_reads_it(flow: Flow, home: Path, project: Path) -> None:
    task = running(flow, project)
    victims = [pid for pid in _of(home) if pid != os.getpid()]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    assert none_left(home)
    with pytest.raises(TaskLostError):
        task.wait(timeout=30)  # type: ignore[attr-defined]

    reader = flow.submit("cat /volumes/safe/file", volumes=["safe"])
    assert b"".join(chunk.data for chunk in reader.logs(follow=True)) == b"secret\n"


def _of(home: Path) -> list[int]:
    """Every process that names this state folder: server, guardian, watcher, gocryptfs, the command itself."""
    mark, found = os.fsencode(home / "state"), []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path(f"/proc/{entry}/cmdline").read_bytes() + Path(f"/proc/{entry}/environ").read_bytes()
            except OSError:
                continue
            if mark in text:
                found.append(int(entry))
    return found


def test_a_deleted_volume_takes_its_key_along(flow: Flow, home: Path) -> None:
    flow.create_volume("safe", encrypted=True)
    flow.delete_volume("safe")

    assert not [name for name in _names(home) if name.startswith("volume-key/")]


def test_the_key_goes_though_who_deleted_the_volume_was_killed_meanwhile(
    flow: Flow, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    flow.create_volume("safe", encrypted=True)
    with monkeypatch.context() as patch:
        patch.setattr("flow_local._volumes._remove", die)
        patch.setattr("flow_local._vault.forget", die)
        with pytest.raises(Killed):
            flow.delete_volume("safe")
    (left,) = (home / "state/local/volumes").glob(".safe.*.deleted")
    assert flow.volumes() == []
    os.utime(left, (0, 0))

    flow.create_volume("other")

    assert not left.exists()
    assert not [name for name in _names(home) if name.startswith("volume-key/")]


def test_without_its_key_a_task_is_refused(flow: Flow, home: Path) -> None:
    flow.create_volume("safe", encrypted=True)
    _vault.forget(next(name for name in _names(home) if name.startswith("volume-key/")))

    with pytest.raises(UnavailableError, match="key of the encrypted volume 'safe'"):
        flow.submit("true", volumes=["safe"])


def test_a_wrong_key_is_named_as_the_reason(flow: Flow, home: Path) -> None:
    from flow_core.secrets import local_stores, set_
    from flow_core.settings import paths

    flow.create_volume("safe", encrypted=True)
    name = next(name for name in _names(home) if name.startswith("volume-key/"))
    set_(name, "0" * 64, local_stores(paths().config_dir))
    task = flow.submit("true", volumes=["safe"])

    assert task.wait(timeout=20) == 125
    assert "encrypted volume" in task.reason


def test_without_gocryptfs_it_is_refused_with_what_to_install(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigError, match="gocryptfs") as raised:
        flow.create_volume("safe", encrypted=True)
    assert "apt install gocryptfs" in raised.value.hint
    assert flow.volumes() == []


def test_a_container_is_refused(flow: Flow) -> None:
    flow.create_volume("safe", encrypted=True)

    problems = flow.provider().check(flow.config("true", volumes=["safe"], image="busybox"))
    assert "NO_ENCRYPTION" in [problem.code for problem in problems]
