"""Objects as files: of this machine, of a shared disk, or of any file system that fsspec knows."""

from __future__ import annotations

import errno
import functools
import os
import posixpath
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from flow_core import AuthError, CapabilityError, ConfigError, ResultInfo, Ticket, UnavailableError
from flow_fsspec._faults import system_fault, unreachable
from flow_fsspec._objects import PIECE, Reading

_PARTS = ".flow-parts"
_LOCAL = ("file", "local")
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
_lock = threading.Lock()


class FileObjects:
    """A folder of a file system. Content is written beside and moved to its name when it is whole.

    On ``file`` and ``memory`` exactly one of several writers wins; elsewhere two that end within the same moment can
    both be told that they did: fsspec has no word for "move unless it is there".
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._where = url
        self._protocol = url.partition("://")[0]
        self._options = options
        self._lock = threading.Lock()

    @functools.cached_property
    def _opened(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        # What is in memory is the process's, not this instance's.
        system, root = url_to_fs(self._where, **self._options, skip_instance_cache=self._protocol != "memory")
        system.dircache.use_listings_cache = False
        return system, str(root).rstrip("/")

    @property
    def _fs(self) -> Any:
        with self._lock:
            return self._opened[0]

    @property
    def _root(self) -> str:
        with self._lock:
            return self._opened[1]

    def _place(self, key: str) -> str:
        if any(part.startswith(".") for part in key.split("/")):
            raise ConfigError(
                f"{key!r} cannot be a key in {self._where}", "files that begin with a dot are half-written"
            )
        return f"{self._root}/{key}"

    def _describe(self, key: str, found: Mapping[str, Any]) -> ResultInfo:
        modified = found.get("mtime", found.get("modified", found.get("created")))
        at = modified.timestamp() if hasattr(modified, "timestamp") else modified
        return ResultInfo(key, int(found["size"]), None, at)

    def stat(self, key: str) -> ResultInfo:
        """Describe one object."""
        found = self._fs.info(self._place(key))
        if found["type"] != "file":
            raise FileNotFoundError(key)
        return self._describe(key, found)

    def list(self, prefix: str) -> Iterator[ResultInfo]:
        """Walk the folder that holds all keys with this prefix."""
        below = f"{self._root}/{posixpath.dirname(prefix)}".rstrip("/")
        if any(part.startswith(".") for part in prefix.split("/")) or not self._fs.isdir(below):
            return
        for place, found in sorted(self._fs.find(below, detail=True).items()):
            key = place[len(self._root) + 1 :]
            if key.startswith(prefix) and "/." not in f"/{key}":
                yield self._describe(key, found)

    def read(self, key: str, offset: int, version: str | None) -> Reading:  # noqa: ARG002 - an open file stays what it was
        """Open a file and read on from ``offset``."""
        if self._fs.isdir(self._place(key)):
            raise FileNotFoundError(key)
        return Reading(self._pieces(self._fs.open(self._place(key), "rb"), offset))

    def _pieces(self, opened: Any, offset: int) -> Iterator[bytes]:
        with opened as file:
            file.seek(offset)
            while piece := file.read(PIECE):
                yield bytes(piece)

    def create(self, key: str, data: Iterator[bytes], sha256: str) -> bool:  # noqa: ARG002 - files keep no metadata
        """Write beside, then move; a key that is taken when the content is whole is left as it is."""
        part = f"{self._root}/{_PARTS}/{uuid.uuid4().hex}"
        self._make(posixpath.dirname(part))
        try:
            with self._fs.open(part, "wb") as file:
                for piece in data:
                    file.write(piece)
            self._make(posixpath.dirname(self._place(key)))
            return self._publish(part, self._place(key))
        finally:
            if self._fs.exists(part):
                self._fs.rm_file(part)

    def _make(self, folder: str) -> None:
        if self._protocol in _LOCAL:
            os.makedirs(self._root, mode=0o700, exist_ok=True)  # who else may look is for people to say
        self._fs.makedirs(folder, exist_ok=True)

    def _publish(self, part: str, place: str) -> bool:
        if self._protocol in _LOCAL:
            return _link(part, place)
        with _lock:
            if self._fs.exists(place):
                return False
            self._fs.mv(part, place)
        return True

    def renew(self, key: str, sha256: str) -> None:  # noqa: ARG002
        """Set its time, where the file system lets one."""
        with suppress(NotImplementedError):
            self._fs.touch(self._place(key), truncate=False)

    def delete(self, key: str) -> bool:
        """Delete one file; folders that it leaves empty stay."""
        if not self._fs.isfile(self._place(key)):
            return False
        self._fs.rm_file(self._place(key))
        return True

    def ticket(self, key: str, method: str, size: int | None, expires_in: float) -> Ticket:  # noqa: ARG002 - a path asks nobody
        """The path itself, for nodes that see the same disk; other file systems sign nothing."""
        if self._protocol not in _LOCAL:
            raise CapabilityError(f"{self._where} gives no tickets", "use a store that does: file, s3, gs or az")
        place = self._place(key)
        self._make(posixpath.dirname(place))  # of a prefix: the folder itself
        return Ticket("PATH", place.rstrip("/"), max_bytes=size)

    def fault(self, error: Exception, what: str) -> Exception | None:
        """Say what an exception of a file system means."""
        if isinstance(error, OSError) and (fault := system_fault(error, what, self._where)):
            return fault
        if isinstance(error, EOFError):
            return unreachable(error, what, self._where)
        if type(error).__module__ == "builtins":  # not what a library says, but a fault
            return None
        kind = AuthError if "Auth" in type(error).__name__ else UnavailableError
        return kind(
            f"cannot {what}: {self._where}: {type(error).__name__}", "check `url` and `options` of the result store"
        )


def _link(part: str, place: str) -> bool:
    """Give a whole file its name; False when the name is taken. Atomic wherever hard links are."""
    try:
        os.link(part, place)
    except FileExistsError:
        if os.path.isdir(place):
            raise
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.exists(place):
            return False
        os.rename(part, place)
    return True
