"""What went wrong with the journal's file, as errors that say the mend."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from flow_core.errors import FlowError, StateError, TransientError

if TYPE_CHECKING:
    from pathlib import Path

# SQLite's own constant texts (sqlite3ErrStr): the module of Python 3.10 gives no error codes.
_DAMAGE = ("malformed", "not a database")
_BUSY = ("is locked", "locking protocol")
_FULL = ("is full",)
_CLOSED = ("readonly", "unable to open", "authorization")

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LEAVE = {errno.EROFS, errno.EACCES, errno.EPERM}


def is_damage(error: Exception) -> bool:
    """Say whether SQLite found the file itself to be broken."""
    return _has(error, _DAMAGE)


def fault(error: Exception, path: Path) -> FlowError:
    """Return the error to raise for what SQLite or the system said about the journal at ``path``."""
    number = error.errno if isinstance(error, OSError) else None
    if number in _NO_SPACE or _has(error, _FULL):
        return StateError(
            f"there is no space left to write the journal {path}; this step was not recorded",
            "free some space on that disk, then run the command again",
        )
    if isinstance(error, TimeoutError) or _has(error, _BUSY):
        return TransientError(
            f"another process has kept the journal {path} busy for more than 30 seconds",
            f"try again; `fuser {path}` names the processes that use it",
        )
    if number in _NO_LEAVE or _has(error, _CLOSED):
        return StateError(
            f"the journal {path} cannot be opened for writing: {error}",
            f"make {path.parent} and the files in it writable for you, or set FLOW_HOME to a folder of your own",
        )
    return StateError(
        f"the journal {path} cannot be used: {error}", "check the disk it is on; `flow doctor` looks closer"
    )


def _has(error: Exception, words: tuple[str, ...]) -> bool:
    return any(word in str(error) for word in words)
