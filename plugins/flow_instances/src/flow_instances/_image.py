"""The file system that every machine's disk lies over: built once, kept in a cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from flow_instances._unavailable import Unavailable

_PACKAGES = (
    *("ca-certificates", "cron", "docker.io", "e2fsprogs", "iproute2", "openssh-server", "procps", "python3"),
    "sudo",
)
_SUITE = "bookworm"
_SSHD = """\
UsePAM no
PasswordAuthentication no
UseDNS no
MaxStartups 100:30:200
MaxSessions 100
HostKey /etc/ssh/ssh_host_ed25519_key
"""
_FINISH = """\
set -e
rm -rf "$1"/etc/ssh/ssh_host_* "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/usr/share/doc "$1"/usr/share/man
printf '%s' "$2" > "$1"/etc/ssh/sshd_config.d/machine.conf
chroot "$1" useradd --create-home --shell /bin/bash --uid 1000 --password '*' ubuntu
echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' > "$1"/etc/sudoers.d/ubuntu
chmod 440 "$1"/etc/sudoers.d/ubuntu
"""


def cache() -> Path:
    """Return the folder of images: ``FLOW_INSTANCES_CACHE``, else ``flow-instances`` in the user's cache folder."""
    given = os.environ.get("FLOW_INSTANCES_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "flow-instances")


def image() -> Path:
    """Return the image's folder; build it where there is none (about a minute, and the network). Safe to call at once.

    Packages come from the Debian archive, else from where this host's own come. Raises :class:`Unavailable` when
    it cannot be built.
    """
    recipe = "\n".join([_SUITE, *_PACKAGES, _SSHD, _FINISH])
    made = cache() / f"{_SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if made.is_dir():
        return made
    cache().mkdir(parents=True, exist_ok=True)
    with open(made.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_dir():
            _build(made)
    return made


def _build(made: Path) -> None:
    building = made.with_suffix(".part")
    try:
        _install(building)
    except Unavailable:
        if not (mirrors := _mirrors()):
            raise
        _install(building, *mirrors)
    _run("sh", "-c", _FINISH, "finish", str(building), _SSHD)
    building.rename(made)


def _install(building: Path, *mirrors: str) -> None:
    shutil.rmtree(building, ignore_errors=True)
    packages = f"--include={','.join(_PACKAGES)}"
    _run("mmdebstrap", "--variant=minbase", "--mode=root", packages, _SUITE, str(building), *mirrors)


def _mirrors() -> list[str]:
    """Return the files that say where this host's own packages are from, where it is of the same suite."""
    try:
        if platform.freedesktop_os_release().get("VERSION_CODENAME") != _SUITE:
            return []
    except OSError:
        return []
    apt = Path("/etc/apt")
    files = [apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list")), *apt.glob("sources.list.d/*.sources")]
    return [str(path) for path in files if path.is_file() and path.stat().st_size]


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-5:])
        raise Unavailable(
            f"the image of test machines cannot be built: {words[0]} ended with {done.returncode}: {last}\n"
            f"Let this machine reach a Debian mirror, or bring {cache()} from one that has it."
        )
