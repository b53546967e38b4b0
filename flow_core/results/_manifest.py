"""What a task kept: one small object ``tasks/<task id>/final.json``, written last."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import attrs

from flow_core.errors import StateError
from flow_core.nodes._report import parse_report
from flow_core.results._blobs import Chunk, Content
from flow_core.types import TaskReport

if TYPE_CHECKING:
    from flow_core.faces import ResultStore

SCHEMA = "flow.kept/1"
ARTIFACT, RESULT, LOG = "artifact", "result", "log"
_SUM = re.compile(r"[0-9a-f]{64}")


@attrs.frozen
class Kept:
    """One thing that a task kept.

    ``kind`` is ``artifact`` (``path``: relative to the task's working folder), ``result`` or ``log`` (``path``: in the
    task's own folder); ``mode`` has the file's permission bits. Without ``content`` it is on the node still.
    """

    kind: str
    path: str
    size: int
    mode: int = 0o644
    content: Content | None = None


@attrs.frozen
class Manifest:
    """What a task kept, how it ended, and which of its ``outputs`` matched nothing."""

    task_id: str
    report: TaskReport
    things: tuple[Kept, ...]
    missing: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of everything."""
        return sum(thing.size for thing in self.things)


def manifest_key(task_id: str) -> str:
    """Return the key of a task's manifest."""
    return f"tasks/{task_id}/final.json"


def read_manifest(store: ResultStore, task_id: str) -> Manifest:
    """Read a task's manifest. Raises NotFoundError while there is none, StateError for one that cannot be believed."""
    return parse_manifest(b"".join(store.get(manifest_key(task_id))), f"the manifest of {task_id} in {store.name}")


def parse_manifest(text: bytes, what: str) -> Manifest:
    """Read a manifest; ``what`` it is goes into the StateError for one that is damaged, or names a path that leads out."""
    try:
        doc = json.loads(text)
        name, _, version = str(doc["schema"]).partition("/")
        if (name, version.partition(".")[0]) != ("flow.kept", "1"):
            raise ValueError(f"its schema is {doc['schema']}")
        report = attrs.evolve(parse_report(doc["report"]), source="store")
        things = tuple(_thing(one) for one in doc["things"])
        return Manifest(str(doc["task_id"]), report, things, tuple(map(str, doc.get("missing", ()))))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{what} cannot be read: {error}", "run the task again") from error


def dump_manifest(task_id: str, report: Mapping[str, Any], things: list[dict[str, Any]], missing: list[str]) -> bytes:
    """Return a manifest's text."""
    doc = {"schema": SCHEMA, "task_id": task_id, "report": report, "things": things, "missing": missing}
    return json.dumps(doc).encode()


def row(thing: Kept, content: Content) -> dict[str, Any]:
    """Return a kept thing as JSON has it."""
    return {
        "kind": thing.kind,
        "path": thing.path,
        "mode": thing.mode,
        "size": content.size,
        "sha256": content.sha256,
        "chunks": [[chunk.sha256, chunk.size] for chunk in content.chunks],
    }


def _thing(doc: Mapping[str, Any]) -> Kept:
    chunks = tuple(Chunk(_sum(chunk[0]), _size(chunk[1])) for chunk in doc["chunks"])
    content = Content(_sum(doc["sha256"]), _size(doc["size"]), chunks)
    if sum(chunk.size for chunk in chunks) != content.size:
        raise ValueError(f"the parts of {doc['path']!r} do not make its size")
    return Kept(str(doc["kind"]), safe_path(doc["path"]), content.size, int(doc.get("mode", 0o644)) & 0o777, content)


def safe_path(word: object) -> str:
    """Return a relative path that leads nowhere but below. Raises ValueError."""
    path = PurePosixPath(str(word))
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in str(word):
        raise ValueError(f"{word!r} is no path below a folder")
    return str(path)


def _sum(word: object) -> str:
    if not isinstance(word, str) or not _SUM.fullmatch(word):
        raise ValueError(f"{word!r} is no sha256")
    return word


def _size(number: object) -> int:
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"{number!r} is no size")
    return number
