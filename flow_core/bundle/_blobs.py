"""Contents that were copied from another file system before: unchanged files are not read again, and share their bytes.

``FOLDER/<aa>/<sha256>`` holds contents, ``FOLDER/index`` says which file had which when it was last seen. Only for a
file system that can share blocks (FICLONE): a link to a file that others have too would let one task change another's.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

_CHUNK = 1 << 20
_RACY = 2_000_000_000  # ns: a file that was changed so short ago may change again under the same time
_DAY, _KEPT = 86_400, 30  # seconds; days for which contents that nobody used are kept
_BUSY = 30.0
_BLOCK = 4096
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (file TEXT PRIMARY KEY, blob TEXT NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS swept (day INTEGER NOT NULL);
"""


class Blobs:
    """The contents kept in ``folder``; ``share(from, to)`` shares blocks between two descriptors."""

    def __init__(self, folder: Path, share: Callable[[int, int], bool]) -> None:
        self._folder, self._share = folder, share
        self._day = int(time.time()) // _DAY
        self._index: sqlite3.Connection | None = None
        self._works: bool | None = None

    def give(self, reading: int, writing: int) -> bool:
        """Put the contents of ``reading`` into ``writing``, which is empty; False where blocks cannot be shared."""
        if self._works is None:
            self._works = self._try()
        if not self._works:
            return False
        found = os.fstat(reading)
        name, blob = _name(found), self._known(_name(found))
        if blob is not None and self._clone(blob, writing, found.st_size):
            return True
        blob = self._keep(reading)
        found = os.fstat(reading)
        if _name(found) == name and time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _RACY:
            self._note(name, blob)
        return self._clone(blob, writing)

    def _try(self) -> bool:
        """Whether blocks can be shared at all where the folder is or would be."""
        above = self._folder.parent
        with TemporaryFile(dir=above) as one, TemporaryFile(dir=above) as two:
            one.write(b"\0" * _BLOCK)
            one.flush()
            works = self._share(one.fileno(), two.fileno())
        if works:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        return works

    def _known(self, name: str) -> str | None:
        row = self._open().execute("SELECT blob, used FROM files WHERE file = ?", (name,)).fetchone()
        if row is None:
            return None
        if row[1] != self._day:
            self._note(name, row[0])
        return str(row[0])

    def _note(self, name: str, blob: str) -> None:
        self._open().execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (name, blob, self._day))

    def _clone(self, blob: str, writing: int, size: int | None = None) -> bool:
        """Whether it could be shared; not where a power cut has left less of it than there should be."""
        try:
            fd = os.open(self._folder / blob, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return size in (None, os.fstat(fd).st_size) and self._share(fd, writing)
        finally:
            os.close(fd)

    def _keep(self, reading: int) -> str:
        """Copy contents and return their name."""
        new = self._folder / f".{os.getpid()}.{os.urandom(4).hex()}.new"
        digest = sha256()
        try:
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400), "wb") as file:
                while data := os.read(reading, _CHUNK):
                    digest.update(data)
                    file.write(data)
            name = digest.hexdigest()
            blob = self._folder / name[:2] / name
            blob.parent.mkdir(mode=0o700, exist_ok=True)
            if not blob.exists() or blob.stat().st_size != new.stat().st_size:
                new.rename(blob)  # else it stays: others share its blocks
        finally:
            os.lseek(reading, 0, os.SEEK_SET)
            new.unlink(missing_ok=True)
        return f"{name[:2]}/{name}"

    def _open(self) -> sqlite3.Connection:
        if self._index is None:
            import sqlite3

            self._index = sqlite3.connect(self._folder / "index", timeout=_BUSY)
            self._index.executescript(_SCHEMA)
        return self._index

    def close(self) -> None:
        """Remember what was seen; now and then forget what nobody uses."""
        if self._index is None:
            return
        with suppress(OSError):
            self._sweep()
        self._index.commit()
        self._index.close()
        self._index = None

    def _sweep(self) -> None:
        index = self._open()
        (last,) = index.execute("SELECT max(day) FROM swept").fetchone()
        if last == self._day:
            return
        index.execute("DELETE FROM swept")
        index.execute("INSERT INTO swept VALUES (?)", (self._day,))
        index.execute("DELETE FROM files WHERE used < ?", (self._day - _KEPT,))
        kept = {blob for (blob,) in index.execute("SELECT blob FROM files")}
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            old = path.stat().st_ctime < time.time() - _KEPT * _DAY
            if old and f"{path.parent.name}/{path.name}" not in kept:
                path.unlink(missing_ok=True)


def _name(found: os.stat_result) -> str:
    """What tells that a file is as it was: git's own fields."""
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"
