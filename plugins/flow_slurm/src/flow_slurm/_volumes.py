"""Volumes as folders of the shared file system: ``ROOT/volumes/<name>/{volume.json,data/}``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence

from flow_core import ConflictError, NotFoundError, Problem, StateError, TaskConfig, Volume, VolumeSpec
from flow_slurm._jobs import last_words
from flow_slurm._shell import Shell

_HEAD = 'umask 077; mkdir -p "$1/volumes" && cd "$1/volumes" || exit 73; '
# By rename: of two that create it at once one is first, and both see whose it is.
_CREATE = _HEAD + (
    'n=.$2.$$.new; mkdir -p "$n/data" && printf "%s\\n" "$3" >"$n/volume.json" || { rm -rf "$n"; exit 73; }; '
    'mv -T "$n" "$2" 2>/dev/null || rm -rf "$n"; exec cat "$2/volume.json"'
)
_LIST = _HEAD + 'for v in *; do [ -f "$v/volume.json" ] && echo "$v" && cat "$v/volume.json"; done; :'
_USERS = 'cd "$1" && for t in flow-*; do [ -s "$t/volumes" ] && [ ! -e "$t/final.json" ] && sed "s/^/$t /" "$t/volumes"; done; :'
_DELETE = _HEAD + 'g=.$2.$$.deleted; mv -T "$2" "$g" || exit 1; exec rm -rf "$g"'


class Volumes:
    """The volumes of one root."""

    def __init__(self, shell: Shell, root: str) -> None:
        self._shell, self._root = shell, root

    def path(self, name: str) -> str:
        """Return the folder that tasks see."""
        return f"{self._root}/volumes/{name}/data"

    def create(self, spec: VolumeSpec, request_id: str) -> Volume:
        """Create a volume; the same ``request_id`` gives the same one. Raises ConflictError when the name is taken."""
        made = {"request_id": request_id, "size_gb": spec.size_gb, "created_at": time.time()}
        found = json.loads(self._run(_CREATE, spec.name, json.dumps(made)))
        if found["request_id"] != request_id:
            raise ConflictError(f"there is a volume {spec.name!r} already", "use it, or choose another name")
        return _volume(spec.name, found, ())

    def list(self) -> Sequence[Volume]:
        """Return the volumes by name, with the tasks that use them."""
        lines = self._run(_LIST).splitlines()
        if not lines:
            return []
        used = [line.split() for line in self._run(_USERS).splitlines()]
        pairs = zip(lines[::2], lines[1::2], strict=True)
        return [_volume(name, json.loads(text), tuple(t for t, v in used if v == name)) for name, text in pairs]

    def delete(self, name: str) -> bool:
        """Delete a volume with everything in it. Raises ConflictError while a task uses it."""
        found = next((volume for volume in self.list() if volume.name == name), None)
        if found is None:
            return False
        if found.attached_to:
            users = ", ".join(found.attached_to)
            raise ConflictError(f"volume {name!r} is used by {users}", "wait for it, or cancel it, then delete")
        self._run(_DELETE, name)
        return True

    def problems(self, config: TaskConfig) -> Iterator[Problem]:
        """Name what a task asks of volumes and cannot have."""
        wanted = [(f"mounts[{n}].source", m.source[7:]) for n, m in enumerate(config.mounts) if _is_volume(m.source)]
        wanted += [(f"volumes[{n}].name", spec.name) for n, spec in enumerate(config.volumes) if not spec.create]
        there = {volume.name for volume in self.list()} if wanted else set()
        for path, name in wanted:
            if name not in there:
                yield Problem(path, "NO_VOLUME", f"there is no volume {name!r}", f"flow volume create {name}")
        for number, spec in enumerate(config.volumes):
            if spec.encrypted:
                text = "volumes here are plain folders and not encrypted"
                yield Problem(f"volumes[{number}].encrypted", "NO_ENCRYPTION", text)
            if spec.size_gb is not None:
                text = "volumes here are plain folders: the size is noted, not enforced"
                yield Problem(f"volumes[{number}].size_gb", "NOT_ENFORCED", text, severity="warning")

    def mounts(self, config: TaskConfig, mounts: Sequence[dict[str, object]]) -> Iterator[dict[str, object]]:
        """Yield a bundle's ``mounts`` with the folders of its volumes."""
        for mount in mounts:
            source = str(mount["source"])
            if _is_volume(source):
                yield {**mount, "source": self.path(source.removeprefix("volume:"))}
            elif source != mount["target"] or mount["read_only"] or config.image is not None:
                yield mount
        for spec in config.volumes:
            yield {"source": self.path(spec.name), "target": spec.target, "read_only": spec.read_only}

    def _run(self, script: str, *words: str) -> str:
        done = self._shell.run(script, self._root, *words)
        if done.code == 1:
            raise NotFoundError(f"there is no volume {words[0]!r}", "flow volume list")
        if done.code:
            raise StateError(f"cannot write in {self._root}/volumes: {last_words(done.err)}", "free some space")
        return done.out


def names(config: TaskConfig) -> list[str]:
    """Return the names of the volumes that a task uses."""
    mounted = [mount.source.removeprefix("volume:") for mount in config.mounts if _is_volume(mount.source)]
    return [*mounted, *(spec.name for spec in config.volumes)]


def _is_volume(source: str) -> bool:
    return source.startswith("volume:")


def _volume(name: str, found: dict[str, object], users: tuple[str, ...]) -> Volume:
    size, created = found.get("size_gb"), found.get("created_at")
    return Volume(
        id=name,
        name=name,
        size_gb=size if isinstance(size, int) else None,
        kind="folder",
        attached_to=users,
        created_at=created if isinstance(created, float) else None,
    )
