"""Encryption of volumes: gocryptfs, with a key that is made here and kept where secrets are."""

from __future__ import annotations

import os
import secrets as random
import shutil
import subprocess
from pathlib import Path

from flow_core import StateError, UnavailableError
from flow_core.secrets import WritableStore, delete, find, local_stores, set_
from flow_core.settings import paths

PROGRAM = "gocryptfs"
_FUSE = "/dev/fuse"
_INSTALL = "install it: apt install gocryptfs, dnf install gocryptfs"


def impossible() -> tuple[str, str] | None:
    """Return why volumes cannot be encrypted here and what to do; None when they can."""
    if shutil.which(PROGRAM) is None:
        return "encrypted volumes need gocryptfs", _INSTALL
    if not os.access(_FUSE, os.R_OK | os.W_OK):
        return f"encrypted volumes need {_FUSE}, which this user cannot open", "modprobe fuse; or ask for access to it"
    return None


def create(folder: Path) -> str:
    """Make ``folder``, which is empty, the place of an encrypted volume; return the name of its key."""
    name, key = f"volume-key/{random.token_hex(8)}", random.token_hex(32)
    set_(name, key, _stores())
    # All of the key is random: stretching it (scrypt at more than the least) would only cost time.
    argv = [PROGRAM, "-init", "-q", "-nosyslog", "-scryptn", "10", "-passfile", "/dev/stdin", str(folder)]
    done = subprocess.run(argv, input=key, capture_output=True, text=True, check=False)
    if done.returncode:
        forget(name)
        said = f"gocryptfs cannot make an encrypted folder: {done.stdout}{done.stderr}".strip()
        raise StateError(said, "check the disk, and that `gocryptfs -speed` works")
    return name


def key(name: str, volume: str) -> str:
    """Return a key's value. Raises UnavailableError when no store has it any more."""
    found = find(name, _stores())
    if found is None:
        hint = f"open the keyring, or bring the secret {name} back: without it the volume cannot be read"
        raise UnavailableError(f"the key of the encrypted volume {volume!r} is not there", hint)
    return found.reveal()


def forget(name: str) -> None:
    """Forget a key."""
    delete(name, _stores())


def _stores() -> tuple[WritableStore, ...]:
    return local_stores(paths().config_dir)
