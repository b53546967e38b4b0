"""Whom a connection takes for the node: keys given, the user's own file, or the first key seen and no other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from flow_core.types import NodeAccess

FIRST_USE = "first-use"


def options(access: NodeAccess, name: str, folder: Path) -> list[str]:
    """Return ssh options that hold a node, called ``name``, to its host keys; ``folder`` keeps what is pinned.

    With neither keys nor trust in the first use, the user's known_hosts must know the host. No host is ever unchecked.
    """
    if access.host_keys:
        path = folder / f"{name}.keys"
        _write(path, "".join(f"{name} {key}\n" for key in access.host_keys))
        return _only(path, name, "yes")
    if access.trust == FIRST_USE:
        return _only(folder / f"{name}.first", name, "accept-new")
    return ["StrictHostKeyChecking=yes"]


def _only(path: Path, name: str, check: str) -> list[str]:
    """Look the node up under its own name: addresses go from machine to machine, and the user's file stays clean."""
    files = [f'UserKnownHostsFile="{path}"', "GlobalKnownHostsFile=/dev/null", "KnownHostsCommand=none"]
    return [*files, f"HostKeyAlias={name}", "CheckHostIP=no", "UpdateHostKeys=no", f"StrictHostKeyChecking={check}"]


def _write(path: Path, text: str) -> None:
    if path.is_file() and path.read_text() == text:
        return
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(text)
    new.rename(path)
