"""Going on with queued tasks after a restart of the machine: a systemd user unit or a crontab line, whichever there is.

Both only run ``flow queue``, which starts the queue where tasks wait, and both are taken back as they were put.
Sources: systemd.service(5), systemd.unit(5), crontab(5).
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import attrs

from flow_core import UnavailableError

_UNIT = """\
[Unit]
Description=Queued tasks of Flow ({profile})

[Service]
Type=oneshot
RemainAfterExit=yes
KillMode=process
{environment}ExecStart={command}

[Install]
WantedBy=default.target
"""


@attrs.frozen
class Start:
    """What is to be run after a restart, for one profile and one state folder."""

    profile: str
    argv: tuple[str, ...]
    env: Mapping[str, str]

    @property
    def mark(self) -> str:
        """A name of its own: another state folder or profile has another one."""
        known = "\\0".join([self.profile, *(f"{key}={value}" for key, value in sorted(self.env.items()))])
        return f"flow-local-{sha256(known.encode()).hexdigest()[:8]}"


def start(profile: str) -> Start:
    """Return how this installation is run for ``profile``."""
    names = ("FLOW_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")
    env = {name: os.path.abspath(os.environ[name]) for name in names if os.environ.get(name)}
    return Start(profile, (sys.executable, "-m", "flow_core", "queue", "--provider", profile), env)


class Way(Protocol):
    """One way to have something run after a restart."""

    def where(self, start: Start) -> str:
        """Return where it is written; empty where it is not."""

    def on(self, start: Start) -> str:
        """Write it; return what else it takes, empty for nothing."""

    def off(self, start: Start) -> None:
        """Remove what was written, and nothing else."""


class SystemdUnit:
    """A unit of the user's own service manager."""

    def _path(self, start: Start) -> Path:
        config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return Path(config) / "systemd" / "user" / f"{start.mark}.service"

    def where(self, start: Start) -> str:
        """See :meth:`Way.where`."""
        return str(self._path(start)) if self._path(start).exists() else ""

    def on(self, start: Start) -> str:
        """See :meth:`Way.on`."""
        path = self._path(start)
        path.parent.mkdir(parents=True, exist_ok=True)
        environment = "".join(f"Environment={_quoted(f'{key}={value}')}\n" for key, value in start.env.items())
        command = " ".join(map(_quoted, start.argv))
        path.write_text(_UNIT.format(profile=start.profile, environment=environment, command=command), encoding="utf-8")
        for words in (["daemon-reload"], ["enable", path.name]):
            _run(["systemctl", "--user", *words])
        lingers = _answer(["loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value"])
        return "" if lingers == "yes" else "it starts when you log in; for the machine's start: loginctl enable-linger"

    def off(self, start: Start) -> None:
        """See :meth:`Way.off`."""
        path = self._path(start)
        _run(["systemctl", "--user", "disable", path.name])
        path.unlink()
        _run(["systemctl", "--user", "daemon-reload"])


class CrontabLine:
    """A line of the user's crontab."""

    def where(self, start: Start) -> str:
        """See :meth:`Way.where`."""
        return "your crontab" if any(_is_ours(line, start) for line in self._lines()) else ""

    def on(self, start: Start) -> str:
        """See :meth:`Way.on`."""
        words = ["env", *(f"{key}={value}" for key, value in start.env.items()), *start.argv]
        command = shlex.join(words).replace("%", "\\%")  # a bare one is a line's end
        self._write([*self._lines(), f"@reboot {command} >/dev/null 2>&1 # {start.mark}\n"])
        return ""

    def off(self, start: Start) -> None:
        """See :meth:`Way.off`."""
        left = [line for line in self._lines() if not _is_ours(line, start)]
        if left:
            self._write(left)
        else:
            _run(["crontab", "-r"])

    def _lines(self) -> list[str]:
        done = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False)
        return done.stdout.splitlines(keepends=True) if done.returncode == 0 else []

    def _write(self, lines: Sequence[str]) -> None:
        _run(["crontab", "-"], "".join(line if line.endswith("\n") else line + "\n" for line in lines))


def _is_ours(line: str, start: Start) -> bool:
    return line.startswith("@reboot ") and line.rstrip().endswith(f"# {start.mark}")


def ways() -> list[Way]:
    """Return what this machine has, the better one first. Raises UnavailableError when it has none."""
    found: list[Way] = []
    if shutil.which("systemctl") and _answer(["systemctl", "--user", "show-environment"]) is not None:
        found.append(SystemdUnit())
    if shutil.which("crontab"):
        found.append(CrontabLine())
    if not found:
        raise UnavailableError(
            "this machine has neither a systemd of yours nor crontab", "run `flow queue` after a restart"
        )
    return found


def _quoted(word: str) -> str:
    """Return a word as systemd.syntax(7) reads it."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"'


def _answer(argv: Sequence[str]) -> str | None:
    """Return what a program says; None where it cannot be asked."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _run(argv: Sequence[str], text: str = "") -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        said = f"{shlex.join(argv)} failed: {done.stderr.strip() or done.stdout.strip()}"
        raise UnavailableError(said, "mend that, then run the command again")
