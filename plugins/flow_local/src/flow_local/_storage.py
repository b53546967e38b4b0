"""How the file system below the volumes keeps them: what it limits, and which bytes two volumes can share."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from flow_core import StateError, UnavailableError

FOLDER, SUBVOLUME = "folder", "subvolume"


def file_system(path: Path) -> str:
    """Return the type of the file system that holds ``path`` or will hold it; empty where it cannot be told."""
    there = next(above for above in (path, *path.parents) if above.exists())
    return _run("stat", "--file-system", "--format=%T", str(there)).stdout.strip()


def make(folder: Path) -> str:
    """Make a new folder as what the file system can do most with; return its kind."""
    if _has_subvolumes(folder.parent) and _run("btrfs", "subvolume", "create", str(folder)).returncode == 0:
        folder.chmod(0o700)
        return SUBVOLUME
    folder.mkdir(mode=0o700)
    return FOLDER


def limit(folder: Path, kind: str, size: int) -> str:
    """Let no more than ``size`` bytes be in ``folder``; return why that cannot be, empty where it is so."""
    if kind != SUBVOLUME:
        return why_unlimited(folder)
    done = _run("btrfs", "qgroup", "limit", str(size), str(folder))
    return "" if done.returncode == 0 else why_unlimited(folder) or _last_line(done)


def why_unlimited(path: Path) -> str:
    """Say why sizes are not enforced in ``path``; empty where they are."""
    if not _has_subvolumes(path):
        return f"its file system ({file_system(path) or 'unknown'}) has no limits that Flow can set; btrfs has"
    there = next(above for above in (path, *path.parents) if above.exists())
    if _run("btrfs", "qgroup", "show", str(there)).returncode:
        return f"quotas are off, or not for this user to set: as root, btrfs quota enable {there}"
    return ""


def share(source: Path, target: Path, kind: str, copies: bool) -> str:
    """Make ``target`` from ``source`` as it is now, with shared bytes; return its kind.

    Where bytes cannot be shared they are copied if ``copies``. Raises UnavailableError when they are not, StateError.
    """
    if kind == SUBVOLUME:
        done = _run("btrfs", "subvolume", "snapshot", str(source), str(target))
        if done.returncode == 0:
            return SUBVOLUME
        raise StateError(f"cannot take a snapshot of {source}: {_last_line(done)}", "free some space")
    done = _copy(source, target, "always")
    if done.returncode and _cannot_share(done):
        if not copies:
            raise UnavailableError(
                f"the file system of {source} ({file_system(source)}) cannot share bytes between two volumes",
                "say `snapshot_copies: true` in the profile to have them copied, or put `root` on btrfs or xfs",
            )
        shutil.rmtree(target, ignore_errors=True)
        done = _copy(source, target, "auto")
    if done.returncode:
        raise StateError(f"cannot copy {source}: {_last_line(done)}", "free some space")
    return FOLDER


def remove(folder: Path) -> None:
    """Remove a folder or a subvolume with everything in it."""
    if _run("btrfs", "subvolume", "delete", str(folder)).returncode if _has_subvolumes(folder.parent) else True:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(source: Path, target: Path, share: str) -> subprocess.CompletedProcess[str]:
    return _run("cp", "-a", f"--reflink={share}", "--sparse=auto", str(source), str(target))


def _cannot_share(done: subprocess.CompletedProcess[str]) -> bool:
    return "failed to clone" in done.stderr


def _has_subvolumes(path: Path) -> bool:
    return shutil.which("btrfs") is not None and file_system(path) == "btrfs"


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
