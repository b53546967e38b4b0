"""A boot goes well however the host divides its time, and says what it saw when it does not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from flow_instances import Disk, Plan, Site, _machine

Wrap = Callable[[str], None]
SLOW = """
import os, runpy, time
{patch}
runpy.run_path({real!r}, run_name="__main__")
"""
SLOW_FORK = """
fork = os.fork
def slow():
    pid = fork()
    time.sleep(0.5 if pid else 0)
    return pid
os.fork = slow
"""
SLOW_RELEASE = """
close = os.close
def slow(fd):
    close(fd)
    time.sleep(1)
os.close = slow
"""


@pytest.fixture
def wrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Wrap:
    """Have the hypervisors that start from now on run ``patch`` first; one without a word is as it is."""
    real = _machine._HYPERVISOR

    def wrapped(patch: str) -> None:
        path = tmp_path / "hypervisor.py"
        path.write_text(SLOW.format(patch=patch, real=str(real)))
        monkeypatch.setattr(_machine, "_HYPERVISOR", path if patch else real)

    return wrapped


def test_a_machine_boots_though_its_hypervisor_gets_no_time_when_it_has_made_it(site: Site, wrap: Wrap) -> None:
    wrap(SLOW_FORK)
    machine = site.create("one")
    machine.wait()

    assert machine.run("hostname").stdout == "one\n"


def test_a_machine_ends_though_another_got_its_loop_device_at_once(site: Site, wrap: Wrap) -> None:
    wrap(SLOW_RELEASE)
    first = site.create("first", Plan(disks=[Disk(site.volume("a", 8))]))
    wrap("")
    ending = threading.Thread(target=first.kill, daemon=True)
    ending.start()
    assert first._hypervisor is not None
    others = []
    while ending.is_alive() and len(others) < 40:
        others.append(site.create(f"other-{len(others)}", Plan(disks=[Disk(site.volume(f"b{len(others)}", 8))])))

    ending.join(20)
    assert not ending.is_alive()


def test_a_machine_that_does_not_boot_says_what_its_hypervisor_said_and_is_off(site: Site, wrap: Wrap) -> None:
    wrap("raise SystemExit('the disk is broken')")
    machine = site.add("one")
    with pytest.raises(RuntimeError, match="one does not boot; its hypervisor said:\nthe disk is broken"):
        machine.start()
    assert not machine.alive

    wrap("")
    machine.start()
    machine.wait()


def test_a_machine_that_ends_while_it_boots_says_what_its_console_showed(site: Site) -> None:
    broken = {"/usr/sbin/cron": "#!/bin/sh\necho the clock has stopped\nkill -KILL -1; exit 1\n"}
    machine = site.add("one", Plan(files={**broken, "/usr/sbin/sshd": "#!/bin/sh\necho no sshd here\nkill -TERM 1\n"}))
    machine.start()

    with pytest.raises(TimeoutError, match=r"one ended while it booted; (.|\n)*its console:\n(.|\n)*no sshd here"):
        machine.wait()
