"""Put one file in place whole."""

from __future__ import annotations

import os
import secrets
import shutil
from stat import S_IMODE
from typing import TYPE_CHECKING, BinaryIO

from flow_core.errors import NotFoundError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHUNK = 1 << 20


def copy(source: Path, target: Path) -> int:
    """Copy ``source`` to ``target`` with its mode, by rename; return its bytes. Raises NotFoundError."""
    try:
        with open(source, "rb") as reading:
            mode = S_IMODE(os.fstat(reading.fileno()).st_mode)
            return receive(target, lambda writing: shutil.copyfileobj(reading, writing, _CHUNK), mode)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError(f"there is no file {source}", "name a file that exists") from error


def receive(target: Path, fill: Callable[[BinaryIO], object], mode: int = 0o644) -> int:
    """Have ``fill`` write a file beside ``target``, then rename it there; return its bytes. Raises StateError."""
    new = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            fill(file)
            os.fchmod(file.fileno(), mode)
            count = file.tell()
        new.rename(target)
    except BaseException as error:
        new.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StateError(
                f"cannot write {target}: {error.strerror or error}", "check the folder and its free space"
            ) from error
        raise
    return count
