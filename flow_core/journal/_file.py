"""The journal's file: made whole or not at all, set aside when damaged, never deleted.

The file is never opened here by ``open``: closing it again would drop the locks that SQLite holds in this process.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flow_core.errors import StateError
from flow_core.journal import _schema
from flow_core.journal._faults import is_damage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_BUSY_SECONDS = 30.0
_PAUSES = (0.001, 0.016)  # seconds between two looks whose turn it is: the first, the longest
_BESIDE = ("-wal", "-shm", "-journal")
_REMOTE = (
    "nfs",
    "cifs",
    "smb",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "afs",
    "fuse.sshfs",
    "9p",
    "panfs",
    "pvfs2",
    "orangefs",
)

Identity = tuple[int, int]


def identity(path: Path) -> Identity | None:
    """Return what tells this file from its successor of the same name; None when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise StateError(
            f"{path} should be the journal, but is not a file",
            f"move {path} away, then run the command again",
        )
    return found.st_dev, found.st_ino


def connect(path: Path) -> tuple[sqlite3.Connection, Identity]:
    """Return an open journal, made or brought up to date where that is needed, and the identity of its file."""
    while True:
        before = identity(path)
        if before is None:
            _create(path)
        elif (db := _open_existing(path)) is None:
            continue
        # A file that was set aside while it was being opened may have met its successor's log.
        elif identity(path) == before:
            return db, before
        else:
            db.close()


def _open_existing(path: Path) -> sqlite3.Connection | None:
    """Return the open journal, None when it was renamed away meanwhile."""
    import sqlite3

    db = None
    try:
        db = _connect(path)
        _bring_up_to_date(db, path)
    except (sqlite3.Error, StateError):
        if db is not None:
            db.close()
        if identity(path) is not None:
            raise
        return None
    return db


def set_aside(path: Path, seen: Identity | None) -> Path | None:
    """Rename a damaged journal and begin a new one; return where it went.

    None when another process did so already (``seen`` is no longer there) or when it turns out to be whole.
    """
    with turn(path):
        if seen is None or identity(path) != seen or not find_damage(path, thorough=True):
            return None
        kept = _rename_away(path)
        unfilled(path).write_text(kept.name, encoding="utf-8")
        _make(path)
        return kept


def find_damage(path: Path, thorough: bool = False) -> str:
    """Return what is wrong with the file, "" when nothing is. Reads all of it: 10 to 100 ms for 10,000 tasks."""
    import sqlite3

    db = _connect(path)
    try:
        if not _schema.version_of(db):
            return "there is no journal in it"
        found = db.execute("PRAGMA integrity_check(1)" if thorough else "PRAGMA quick_check(1)").fetchone()[0]
        return "" if found == "ok" else str(found)
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return str(error)
        raise
    finally:
        db.close()


def _connect(path: Path) -> sqlite3.Connection:
    import sqlite3

    from flow_core.journal._text import Connection

    # mode=rw: a journal that is missing must not come into being as an empty file.
    uri = path.absolute().as_uri() + "?mode=rw"
    return sqlite3.connect(
        uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=Connection
    )


def _bring_up_to_date(db: sqlite3.Connection, path: Path) -> None:
    import sqlite3

    version = _schema.version_of(db)
    if version > len(_schema.MIGRATIONS):
        raise StateError(
            f"the journal {path} was written by a newer Flow: version {version}, known {len(_schema.MIGRATIONS)}",
            "upgrade flow-core, or use the Flow that wrote it",
        )
    if not version:
        raise sqlite3.DatabaseError("file is not a database: there is no journal in it")
    if version < len(_schema.MIGRATIONS):
        _schema.migrate(db)
    db.execute("PRAGMA synchronous = NORMAL")


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    was_there = _lock_of(path).exists() or (path.parent / "owners").exists()
    with turn(path):
        if identity(path) is None:
            # A log without its journal would be played into the new one.
            _rename_away(path)
            if was_there:
                unfilled(path).touch(0o600)
            _make(path)


def unfilled(path: Path) -> Path:
    """Return the file that is there while a new journal lacks what its predecessor knew; its text names that one."""
    return path.with_name(path.name + ".unfilled")


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _make(path: Path) -> None:
    """Put a new journal at ``path`` by rename, so that nobody ever sees half of one."""
    fresh = path.with_name(path.name + ".new")
    for name in (fresh, *_neighbours(fresh)):
        name.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    db = _connect(fresh)
    try:
        _schema.migrate(db)
        if not is_remote(path.parent):
            db.execute("PRAGMA journal_mode = WAL")
    finally:
        db.close()
    fresh.rename(path)
    _sync(path.parent)


def _rename_away(path: Path) -> Path:
    kept = _free_name(path)
    for suffix in ("", *_BESIDE):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{kept}{suffix}")
    return kept


def _free_name(path: Path) -> Path:
    stem = f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    kept, count = path.with_name(stem), 1
    while any(Path(f"{kept}{suffix}").exists() for suffix in ("", *_BESIDE)):
        count += 1
        kept = path.with_name(f"{stem}.{count}")
    return kept


def _neighbours(path: Path) -> list[Path]:
    return [Path(f"{path}{suffix}") for suffix in _BESIDE]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Hold the lock under which the file at ``path`` is made, replaced and written.

    Raises TimeoutError when one process has held it for 30 s; as long as others have their turns it is waited for.
    """
    import fcntl

    descriptor = os.open(_lock_of(path), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        _queue_up(descriptor)
        os.utime(descriptor)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that was forked meanwhile keeps its copy open
        os.close(descriptor)


def _queue_up(descriptor: int) -> None:
    """Take the lock; each holder dates the file, so that a line that moves is told from one that stands.

    SQLite's own waiting tells no such thing and sleeps up to 0.1 s, so that of hundreds some are never first. To block
    in flock(2) would be fair, but each would then wait for the one before it to be given a core.
    """
    pause, since, holder = _PAUSES[0], time.monotonic(), 0
    while not _is_free(descriptor):
        dated = os.fstat(descriptor).st_mtime_ns
        if dated != holder:
            holder, since = dated, time.monotonic()
        elif time.monotonic() - since > _BUSY_SECONDS:
            raise TimeoutError
        time.sleep(pause * (0.5 + os.urandom(1)[0] / 256))
        pause = min(2 * pause, _PAUSES[1])


def _is_free(descriptor: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def is_remote(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Say whether ``folder`` is on a network file system, where SQLite's write-ahead log does not work.

    Its shared memory is one machine's (sqlite.org/wal.html, "Overview"); several login nodes may share a home folder.
    """
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return False
    above = {str(folder.resolve()), *map(str, folder.resolve().parents)}
    kinds = [(len(target), kind) for target, kind in map(_mount, lines) if target in above]
    return bool(kinds) and max(kinds, key=lambda found: found[0])[1].startswith(_REMOTE)


def _mount(line: str) -> tuple[str, str]:
    left, _, right = line.partition(" - ")
    return left.split()[4].replace("\\040", " "), right.split()[0]
