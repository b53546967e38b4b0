"""Nothing is left, whoever ends and however."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import flow_instances
from flow_instances import Disk, Site, sweep

OWNER = """
from flow_instances import Disk, Plan, Site
site = Site()
machine = site.create("one", Plan(disk=64, disks=[Disk(site.volume("data", 8))]))
machine.wait()
print(site.folder, machine._pid, site.network.number, flush=True)
input()
"""


def until(true: Callable[[], Any], timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.fixture
def owner(bootable: None) -> Iterator[tuple[subprocess.Popen[str], Path, int, int]]:
    """Another process that has a machine: it, its folder, the machine's first process, its network's number."""
    words = [sys.executable, "-c", OWNER]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder, pid, number = process.stdout.readline().split()
        yield process, Path(folder), int(pid), int(number)
        process.kill()


def test_a_site_that_ends_leaves_no_process_mount_link_folder_or_group(bootable: None) -> None:
    with Site() as site:
        machine = site.create("one")
        machine.wait()
        pid = machine._pid

    assert gone(pid)
    assert not site.folder.exists()
    assert str(site.folder) not in Path("/proc/mounts").read_text()
    assert not Path(f"/sys/class/net/machines{site.network.number}").exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{site.name}*"))


def test_machines_end_with_a_process_that_was_killed_and_the_sweeper_removes_the_rest(
    owner: tuple[subprocess.Popen[str], Path, int, int],
) -> None:
    process, folder, pid, number = owner
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    until(lambda: gone(pid))
    until(lambda: not Path(f"/sys/class/net/machines{number}").exists())
    sweep()
    assert not folder.exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/fi-{folder.name}*"))


def test_the_sweeper_leaves_those_that_live(owner: tuple[subprocess.Popen[str], Path, int, int]) -> None:
    _, folder, pid, _ = owner
    sweep()
    assert folder.exists()
    assert not gone(pid)


def test_what_a_machine_cannot_have_is_said(site: Site) -> None:
    with pytest.raises(RuntimeError, match="No such file"):
        site.create("one", flow_instances.Plan(disks=[Disk(site.folder / "none")]))


def test_without_root_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "need root" in flow_instances.unavailable()


def test_without_programs_it_is_said_which_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "mmdebstrap" in flow_instances.unavailable()
