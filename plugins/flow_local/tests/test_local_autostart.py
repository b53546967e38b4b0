"""``flow local autostart``, with stand-ins for crontab and systemctl on PATH."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CRONTAB = """#!/bin/sh
# Stand-in for crontab(1): keeps the table in the file that STAND_IN_CRONTAB names.
case "$1" in
-l) [ -f "$STAND_IN_CRONTAB" ] || { echo "no crontab for you" >&2; exit 1; }; cat "$STAND_IN_CRONTAB" ;;
-r) rm "$STAND_IN_CRONTAB" ;;
-) cat > "$STAND_IN_CRONTAB" ;;
esac
"""
SYSTEMCTL = """#!/bin/sh
# Stand-in for systemctl(1) --user: links units that are enabled, as it does.
units="$HOME/.config/systemd/user"
case "$2" in
enable) mkdir -p "$units/default.target.wants"; ln -s "$units/$3" "$units/default.target.wants/$3" ;;
disable) rm "$units/default.target.wants/$3" ;;
esac
"""


class Machine:
    """A home folder, and a PATH with the stand-ins."""

    def __init__(self, folder: Path, *programs: tuple[str, str]) -> None:
        self.home, self.crontab = folder / "user", folder / "crontab"
        self.home.mkdir()
        (folder / "bin").mkdir()
        for name, text in programs:
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        for needed in ("sh", "cat", "rm", "mkdir", "ln", "env"):
            (folder / "bin" / needed).symlink_to(
                f"/bin/{needed}" if Path(f"/bin/{needed}").exists() else f"/usr/bin/{needed}"
            )
        self.env = {
            "HOME": str(self.home),
            "PATH": str(folder / "bin"),
            "FLOW_HOME": str(folder / "flow home %"),
            "STAND_IN_CRONTAB": str(self.crontab),
        }

    def flow(self, *words: str) -> str:
        argv = [sys.executable, "-m", "flow_core", *words]
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def autostart(self, *words: str) -> str:
        return self.flow("local", "autostart", *words)

    def files(self) -> dict[str, bytes]:
        return {
            str(p.relative_to(self.home)): p.read_bytes()
            for p in self.home.rglob("*")
            if p.is_file() and not p.is_symlink()
        }


@pytest.fixture
def with_cron(tmp_path: Path) -> Machine:
    return Machine(tmp_path, ("crontab", CRONTAB))


@pytest.fixture
def with_systemd(tmp_path: Path) -> Machine:
    return Machine(tmp_path, ("crontab", CRONTAB), ("systemctl", SYSTEMCTL))


def test_the_crontab_is_as_before_after_off(with_cron: Machine) -> None:
    with_cron.crontab.write_text("MAILTO=me\n0 4 * * * backup # flow-local-00000000 is not ours\n@reboot mine\n")
    before = with_cron.crontab.read_bytes()
    with_cron.autostart("on")
    assert with_cron.crontab.read_bytes().startswith(before)
    with_cron.autostart("off")

    assert with_cron.crontab.read_bytes() == before


def test_where_there_was_no_crontab_there_is_none_after_off(with_cron: Machine) -> None:
    with_cron.autostart("on")
    with_cron.autostart("off")

    assert not with_cron.crontab.exists()


def test_on_twice_writes_one_line(with_cron: Machine) -> None:
    with_cron.autostart("on")
    assert "already" in with_cron.autostart("on")

    assert len(with_cron.crontab.read_text().splitlines()) == 1


def test_status_tells(with_cron: Machine) -> None:
    assert with_cron.autostart("status") == "off\n"
    with_cron.autostart("on")
    assert with_cron.autostart("status") == "on: your crontab\n"


def test_a_queued_task_runs_when_cron_runs_its_line(with_cron: Machine) -> None:
    state = Path(with_cron.env["FLOW_HOME"]) / "state"
    state.parent.mkdir(mode=0o700)
    (state.parent / "config.yaml").write_text("profiles: {local: {provider: local, max_tasks: 1}}\n")
    (state.parent / "config.yaml").chmod(0o600)
    with_cron.autostart("on")
    with_cron.flow("run", "-d", "--code", "none", "sleep 600")
    with_cron.flow("run", "-d", "--code", "none", "echo ran")
    kill_all_of(state)
    command = with_cron.crontab.read_text().removeprefix("@reboot ").replace("\\%", "%")
    subprocess.run(["/bin/sh", "-c", command], env={"HOME": with_cron.env["HOME"], "PATH": "/usr/bin:/bin"}, check=True)

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if b"ran\n" in [path.read_bytes() for path in state.glob("local/done/*/*/attempts/1/0/stdout")]:
            return
        time.sleep(0.02)
    pytest.fail("the queued task did not run")


def kill_all_of(state: Path) -> None:
    """What a restart does to the processes of a state folder."""
    for entry in os.listdir("/proc"):
        try:
            known = entry.isdigit() and any(
                os.fsencode(state) in Path(f"/proc/{entry}/{name}").read_bytes() for name in ("cmdline", "environ")
            )
        except OSError:
            continue
        if known:
            os.kill(int(entry), signal.SIGKILL)


def test_systemd_is_preferred_and_its_unit_goes_with_off(with_systemd: Machine) -> None:
    before = with_systemd.files()
    said = with_systemd.autostart("on")
    (unit,) = [Path(name) for name in with_systemd.files() if name.endswith(".service")]
    links = with_systemd.home / ".config/systemd/user/default.target.wants"

    assert "log in" in said
    assert os.readlink(links / unit.name) == str(with_systemd.home / unit)
    assert not with_systemd.crontab.exists()
    with_systemd.autostart("off")
    assert with_systemd.files() == before
    assert list(links.iterdir()) == []


def test_the_unit_runs_this_installation_with_its_state_folder(with_systemd: Machine) -> None:
    with_systemd.autostart("on")
    (text,) = [data.decode() for name, data in with_systemd.files().items() if name.endswith(".service")]
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    words = shlex.split(lines["ExecStart"])

    assert words == [sys.executable, "-m", "flow_core", "queue", "--provider", "local"]
    assert shlex.split(lines["Environment"]) == [f"FLOW_HOME={with_systemd.env['FLOW_HOME'].replace('%', '%%')}"]
    assert lines["KillMode"] == "process"


def test_another_state_folder_has_a_line_of_its_own(with_cron: Machine, tmp_path: Path) -> None:
    with_cron.autostart("on")
    with_cron.env["FLOW_HOME"] = str(tmp_path / "other")
    assert with_cron.autostart("status") == "off\n"
    with_cron.autostart("on")
    with_cron.autostart("off")

    assert len(with_cron.crontab.read_text().splitlines()) == 1


def test_a_machine_with_neither_is_told_what_to_do(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    argv = [sys.executable, "-m", "flow_core", "local", "autostart", "on"]
    done = subprocess.run(argv, env=machine.env, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "flow queue" in done.stderr
    assert "Traceback" not in done.stderr
