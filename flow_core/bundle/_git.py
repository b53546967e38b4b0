"""What git itself says about a working tree."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# git's rev-parse --local-env-vars: a git hook that calls us would point us at its own repository.
_LOCAL = frozenset(
    (
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
        "GIT_LITERAL_PATHSPECS",
        "GIT_GLOB_PATHSPECS",
        "GIT_ICASE_PATHSPECS",
    )
)


def repository(folder: Path) -> Path | None:
    """Return the top of the working tree that ``folder`` is in, None when it is in none."""
    return next((above for above in (folder, *folder.parents) if os.path.lexists(above / ".git")), None)


def files(folder: Path) -> list[str] | None:
    """Return what git tracks or would track below ``folder``; None when there is no git or it refuses this repository.

    A repository inside is one entry, a folder. Files that are tracked and deleted are listed too.
    """
    import subprocess

    program = shutil.which("git")
    if program is None:
        return None
    # fsmonitor would run a command that the repository's own config names.
    options = ["-c", "core.fsmonitor=false", "-C", str(folder), "ls-files", "-z"]
    argv = [program, *options, "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, env=_environment(), check=False)
    if done.returncode:
        return None
    return sorted({os.fsdecode(path) for path in done.stdout.split(b"\0") if path})


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name not in _LOCAL}
    return {**own, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
