"""Volumes as folders: ``ROOT/volumes/<name>/{volume.json,data/}``; made by rename, deleted by nobody but the user.

An encrypted one has ``cipher/`` too, and ``data/`` is where its tasks see that in the clear.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from flow_core import ConfigError, ConflictError, NotFoundError, StateError, Volume, VolumeSpec
from flow_core.settings import make_folder
from flow_local import _storage, _vault

Document = dict[str, object]
_GB = 10**9
_BEGUN = 60.0  # seconds that something just begun is left alone though nobody holds it


class Volumes:
    """The volumes below one root."""

    def __init__(self, root: Path) -> None:
        self._root = root / "volumes"
        self._tasks = root / "tasks"

    @property
    def root(self) -> Path:
        """The folder of all of them."""
        return self._root

    def path(self, name: str) -> Path:
        """Return the folder that tasks see. Raises NotFoundError."""
        folder = self._root / name / "data"
        if not folder.is_dir():
            raise NotFoundError(f"there is no volume {name!r}", f"create it: flow volume create {name}")
        return folder

    def exists(self, name: str) -> bool:
        """Say whether there is a volume of that name."""
        return (self._root / name / "volume.json").is_file()

    def key_of(self, name: str) -> str | None:
        """Return the name of a volume's key; None where it is not encrypted."""
        key = self._read(self._root / name).get("key")
        return str(key) if key else None

    def mount(self, name: str, target: str, read_only: bool) -> Mapping[str, object]:
        """Return what the runner must know to put a volume at ``target``. Raises NotFoundError."""
        mount = {"source": str(self.path(name)), "target": target, "read_only": read_only}
        key = self.key_of(name)
        if key is None:
            return mount
        program = shutil.which(_vault.PROGRAM) or _vault.PROGRAM
        return {**mount, "cipher": str(self._root / name / "cipher"), "key": key, "program": program}

    def create(self, spec: VolumeSpec, request_id: str) -> Volume:
        """Create a volume; the same ``request_id`` gives the same one.

        Raises ConflictError when the name is taken, ConfigError for what this machine cannot make.
        """
        if spec.kind not in (None, "folder", "subvolume"):
            raise ConfigError(f"there are no volumes of the kind {spec.kind!r} here", "leave the kind out")
        if spec.encrypted and (reason := _vault.impossible()):
            raise ConfigError(*reason)
        if not self._is_taken(spec.name, request_id):
            self._make(spec.name, request_id, lambda new: _fill(new, spec))
        return self._volume(self._root / spec.name)

    def snapshot(self, name: str, new_name: str, copies: bool) -> Volume:
        """Make a new volume of what is in ``name`` now, sharing its bytes; ``copies``: or copying them.

        Raises NotFoundError, ConflictError for a name that is taken, UnavailableError where bytes cannot be shared.
        """
        self.path(name)
        document = self._read(self._root / name)
        users = [] if document.get("kind") == _storage.SUBVOLUME else list(self._users(name))
        if users:  # only a subvolume is copied in one instant
            raise ConflictError(f"volume {name!r} is used by {', '.join(users)}", "wait for it, then take the snapshot")
        request_id = f"snapshot-{os.urandom(8).hex()}"
        self._is_taken(new_name, request_id)
        self._make(new_name, request_id, lambda new: _share(self._root / name, new, document, copies))
        return self._volume(self._root / new_name)

    def _is_taken(self, name: str, request_id: str) -> bool:
        """Whether this request has been fulfilled. Raises ConflictError when another one has the name."""
        if not self.exists(name):
            return False
        if self._read(self._root / name)["request_id"] != request_id:
            raise ConflictError(f"there is a volume {name!r} already", "use it, or choose another name")
        return True

    def _make(self, name: str, request_id: str, fill: Callable[[Path], Document]) -> None:
        new = self._root / f".{name}.{os.urandom(8).hex()}.new"  # the same request may come twice at once
        make_folder(self._root)
        try:
            new.mkdir(mode=0o700)
            held = os.open(new, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX)
                document = {"request_id": request_id, "created_at": time.time(), **fill(new)}
                (new / "volume.json").touch(0o600)
                (new / "volume.json").write_text(json.dumps(document), encoding="utf-8")
                self._accept(new, name, request_id)
            finally:
                os.close(held)
                _remove(new)
            self._sweep()
        except OSError as error:
            raise StateError(f"cannot create a volume in {self._root}: {error.strerror}", "free some space") from error

    def _accept(self, new: Path, name: str, request_id: str) -> None:
        try:
            new.rename(self._root / name)
        except OSError:
            if not self._is_taken(name, request_id):
                raise

    def _sweep(self) -> None:
        """Remove what killed processes had begun to make or to delete."""
        for pattern in (".*.new", ".*.deleted"):
            for left in self._root.glob(pattern):
                with suppress(OSError):
                    if time.time() - left.stat().st_mtime > _BEGUN and _is_free(left):
                        self._discard(left)

    def list(self) -> list[Volume]:
        """Return the volumes by name."""
        if not self._root.is_dir():
            return []
        names = sorted(path.name for path in self._root.iterdir() if not path.name.startswith("."))
        return [self._volume(self._root / name) for name in names if self.exists(name)]

    def delete(self, name: str) -> bool:
        """Delete a volume with everything in it. Raises ConflictError while a task uses it."""
        if not self.exists(name):
            return False
        self._refuse_in_use(name, self._root / name)
        gone = self._root / f".{name}.{os.urandom(4).hex()}.deleted"
        try:
            held = os.open(self._root / name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(held, fcntl.LOCK_EX)  # who sweeps leaves it alone until it is sure to go
            (self._root / name).rename(gone)
            self._refuse_in_use(name, gone)  # a task may have come in between
            self._discard(gone)
        except FileNotFoundError:  # by somebody else, at the same time
            return False
        finally:
            os.close(held)
        return True

    def _discard(self, folder: Path) -> None:
        """Remove what is no volume any more, or not yet, and a key that no volume needs."""
        with suppress(FileNotFoundError):  # it was only begun
            key = self._read(folder).get("key")
            if key and key not in [self._read(self._root / volume.name).get("key") for volume in self.list()]:
                _vault.forget(str(key))
        _remove(folder)

    def _refuse_in_use(self, name: str, now: Path) -> None:
        users = list(self._users(name))
        if users:
            if now.name != name:
                now.rename(self._root / name)
            raise ConflictError(
                f"volume {name!r} is used by {', '.join(users)}", "wait for it, or cancel it, then delete"
            )

    def _users(self, name: str) -> Iterator[str]:
        """Name the live tasks that use a volume."""
        for bundle in self._tasks.glob("flow-*/bundle.json"):
            try:
                document = json.loads(bundle.read_bytes())
            except FileNotFoundError:  # it ended between the two looks
                continue
            has_ended = (bundle.parent / "final.json").exists() or not bundle.exists()  # it was put away just then
            if name in document.get("volumes", []) and not has_ended:
                yield document["task_id"]

    def _read(self, folder: Path) -> Document:
        document: Document = json.loads((folder / "volume.json").read_bytes())
        return document

    def _volume(self, folder: Path) -> Volume:
        document = self._read(folder)
        size, created = document.get("size_gb"), document.get("created_at")
        return Volume(
            id=folder.name,
            name=folder.name,
            size_gb=size if isinstance(size, int) else None,
            kind=str(document.get("kind") or _storage.FOLDER),
            attached_to=tuple(self._users(folder.name)),
            created_at=created if isinstance(created, float) else None,
            encrypted=bool(document.get("key")),
            note=str(document.get("note") or ""),
        )


def _fill(new: Path, spec: VolumeSpec) -> Document:
    content = new / ("cipher" if spec.encrypted else "data")
    document: Document = {"size_gb": spec.size_gb, "kind": _storage.make(content)}
    if spec.size_gb is not None:
        document["note"] = _note(content, str(document["kind"]), spec.size_gb)
    if spec.encrypted:
        (new / "data").mkdir(mode=0o700)
        document["key"] = _vault.create(content)
    return document


def _share(old: Path, new: Path, document: Mapping[str, object], copies: bool) -> Document:
    content = "cipher" if document.get("key") else "data"
    kind = _storage.share(old / content, new / content, str(document.get("kind")), copies)
    found: Document = {"size_gb": document.get("size_gb"), "kind": kind, "snapshot_of": old.name}
    size = document.get("size_gb")
    if isinstance(size, int):
        found["note"] = _note(new / content, kind, size)
    if document.get("key"):
        (new / "data").mkdir(mode=0o700)
        found["key"] = document["key"]
    return found


def _note(content: Path, kind: str, size_gb: int) -> str:
    why = _storage.limit(content, kind, size_gb * _GB)
    return f"its size is noted, not enforced: {why}" if why else ""


def _is_free(folder: Path) -> bool:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(fd)


def _remove(folder: Path) -> None:
    for content in ("cipher", "data"):
        if (folder / content).is_dir():
            _storage.remove(folder / content)
    shutil.rmtree(folder, ignore_errors=True)
