"""Whether machines can boot here."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys

PROGRAMS = ("ip", "iptables-restore", "mkfs.ext4", "mmdebstrap", "nsenter", "tc", "unshare")
_TRIAL = "mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/r && mount -t overlay o -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w /mnt/r"


class Unavailable(Exception):  # noqa: N818
    """What is asked for cannot be had on this machine; the message says why."""


def unavailable() -> str:
    """Return why no machine can boot here; empty when they can."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        return "test machines need Linux on x86-64 or ARM"
    if os.geteuid() != 0:
        return "test machines need root: they mount disks and make networks"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"test machines need {', '.join(missing)}"
    words = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "sh", "-c", _TRIAL]
    tried = subprocess.run(words, capture_output=True, text=True, check=False)
    return f"namespaces or overlay mounts are not allowed here: {tried.stderr.strip()}" if tried.returncode else ""
