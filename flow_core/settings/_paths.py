"""Where Flow keeps its files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from flow_core.errors import StateError


@attrs.frozen
class Paths:
    """Folders that need not exist yet: :func:`make_folder` makes one, 0700, when something is written to it."""

    config_dir: Path
    state_dir: Path
    cache_dir: Path
    config_file: Path


def paths(environ: Mapping[str, str] | None = None) -> Paths:
    """Return the folders of this user: all below ``FLOW_HOME`` where that is set, else the XDG ones.

    Source: XDG Base Directory Specification 0.8; relative values are ignored, as it asks. Raises :class:`StateError`
    when nothing says where home is.
    """
    env = os.environ if environ is None else environ
    if own := env.get("FLOW_HOME"):
        root = Path(own).expanduser().absolute()
        return Paths(root, root / "state", root / "cache", root / "config.yaml")
    config = _xdg(env, "XDG_CONFIG_HOME", ".config")
    return Paths(
        config,
        _xdg(env, "XDG_STATE_HOME", ".local/state"),
        _xdg(env, "XDG_CACHE_HOME", ".cache"),
        config / "config.yaml",
    )


def working_folder() -> Path:
    """Return the folder this process works in. Raises :class:`StateError` when it was removed, or may not be seen."""
    try:
        return Path.cwd()
    except OSError as error:
        raise StateError(
            f"the folder this was started in cannot be found: {error.strerror}", "cd to a folder that is there"
        ) from error


def home(environ: Mapping[str, str]) -> Path:
    """Return the home folder: ``HOME`` where that is an absolute path, else the account's.

    Raises :class:`StateError` when there is neither.
    """
    if os.path.isabs(own := environ.get("HOME", "")):
        return Path(own)
    from pwd import getpwuid

    try:
        return Path(getpwuid(os.getuid()).pw_dir)
    except KeyError as error:
        raise StateError(
            "this account has no home folder", "set HOME, or FLOW_HOME to a folder for Flow's files"
        ) from error


def _xdg(environ: Mapping[str, str], variable: str, default: str) -> Path:
    base = Path(environ.get(variable, ""))
    return (base if base.is_absolute() else home(environ) / default) / "flow"
