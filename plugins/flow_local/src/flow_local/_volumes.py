"""Volumes as folders: ``ROOT/volumes/<name>/{volume.json,data/}``; made by rename, deleted by nobody but the user."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from flow_core import ConflictError, NotFoundError, StateError, Volume, VolumeSpec


class Volumes:
    """The volumes below one root."""

    def __init__(self, root: Path) -> None:
        self._root = root / "volumes"
        self._tasks = root / "tasks"

    def path(self, name: str) -> Path:
        """Return the folder that tasks see. Raises NotFoundError."""
        folder = self._root / name / "data"
        if not folder.is_dir():
            raise NotFoundError(f"there is no volume {name!r}", f"create it: flow volume create {name}")
        return folder

    def exists(self, name: str) -> bool:
        """Say whether there is a volume of that name."""
        return (self._root / name / "volume.json").is_file()

    def create(self, spec: VolumeSpec, request_id: str) -> Volume:
        """Create a volume; the same ``request_id`` gives the same one. Raises ConflictError when the name is taken."""
        new = self._root / f".{spec.name}.{os.urandom(8).hex()}.new"  # the same request may come twice at once
        document = {"request_id": request_id, "size_gb": spec.size_gb, "created_at": time.time()}
        try:
            (new / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
            (new / "volume.json").write_text(json.dumps(document), encoding="utf-8")
            self._accept(new, spec.name, request_id)
        except OSError as error:
            raise StateError(f"cannot create a volume in {self._root}: {error.strerror}", "free some space") from error
        finally:
            shutil.rmtree(new, ignore_errors=True)
        return self._volume(self._root / spec.name)

    def _accept(self, new: Path, name: str, request_id: str) -> None:
        try:
            new.rename(self._root / name)
        except OSError:
            if not self.exists(name):
                raise
            if self._read(self._root / name)["request_id"] != request_id:
                raise ConflictError(f"there is a volume {name!r} already", "use it, or choose another name") from None

    def list(self) -> list[Volume]:
        """Return the volumes by name."""
        if not self._root.is_dir():
            return []
        return [self._volume(path) for path in sorted(self._root.iterdir()) if self.exists(path.name)]

    def delete(self, name: str) -> bool:
        """Delete a volume with everything in it. Raises ConflictError while a task uses it."""
        if not self.exists(name):
            return False
        users = list(self._users(name))
        if users:
            raise ConflictError(
                f"volume {name!r} is used by {', '.join(users)}", "wait for it, or cancel it, then delete"
            )
        gone = self._root / f".{name}.{os.urandom(4).hex()}.deleted"
        (self._root / name).rename(gone)
        shutil.rmtree(gone)
        return True

    def _users(self, name: str) -> Iterator[str]:
        """Name the live tasks that use a volume."""
        for bundle in self._tasks.glob("flow-*/bundle.json"):
            try:
                document = json.loads(bundle.read_bytes())
            except FileNotFoundError:  # it ended between the two looks
                continue
            if name in document.get("volumes", []) and not (bundle.parent / "final.json").exists():
                yield document["task_id"]

    def _read(self, folder: Path) -> dict[str, object]:
        document: dict[str, object] = json.loads((folder / "volume.json").read_bytes())
        return document

    def _volume(self, folder: Path) -> Volume:
        document = self._read(folder)
        size, created = document.get("size_gb"), document.get("created_at")
        return Volume(
            id=folder.name,
            name=folder.name,
            size_gb=size if isinstance(size, int) else None,
            kind="folder",
            attached_to=tuple(self._users(folder.name)),
            created_at=created if isinstance(created, float) else None,
        )
