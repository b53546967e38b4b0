"""What a task kept: one small object ``tasks/<task id>/final.json``, written last.

Of nodes that share no folder that is what rank 0 kept, and ``tasks/<task id>/nodes/<rank>.json`` what another did.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import attrs

from flow_core.errors import NotFoundError, StateError
from flow_core.nodes._report import parse_report
from flow_core.results._blobs import Chunk, Content
from flow_core.types import TaskReport

if TYPE_CHECKING:
    from flow_core.faces import ResultStore

SCHEMA = "flow.kept/1"
ARTIFACT, RESULT, LOG = "artifact", "result", "log"
_SUM = re.compile(r"[0-9a-f]{64}")
_OF_A_RANK = re.compile(r"rank-[0-9]+/")


@attrs.frozen
class Kept:
    """One thing that a task kept.

    ``kind`` is ``artifact`` (``path``: relative to the task's working folder), ``result`` or ``log`` (``path``: in the
    task's own folder); ``mode`` has the file's permission bits. Without ``content`` it is on the node still. ``rank``:
    the node it comes from, where the nodes of the task share no folder.
    """

    kind: str
    path: str
    size: int
    mode: int = 0o644
    content: Content | None = None
    rank: int | None = None


@attrs.frozen
class Manifest:
    """What a task kept, how it ended, and which of its ``outputs`` matched nothing on any node.

    ``absent``: the ranks whose nodes went before they had brought anything.
    """

    task_id: str
    report: TaskReport
    things: tuple[Kept, ...]
    missing: tuple[str, ...] = ()
    absent: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of everything."""
        return sum(thing.size for thing in self.things)


def manifest_key(task_id: str) -> str:
    """Return the key of a task's manifest."""
    return f"tasks/{task_id}/final.json"


def node_key(task_id: str, rank: int | None = None) -> str:
    """Return the key of what another node than rank 0 kept; without a rank the prefix of them all."""
    return f"tasks/{task_id}/nodes/" + ("" if rank is None else f"{rank}.json")


def read_manifest(store: ResultStore, task_id: str) -> Manifest:
    """Read a task's manifest, of all its nodes.

    Raises NotFoundError while there is none, StateError for one that cannot be believed.
    """
    doc = _read(store, manifest_key(task_id))
    with _believed(store, manifest_key(task_id)):
        report = attrs.evolve(parse_report(doc["report"]), source="store")
        count = int(doc.get("nodes") or 1)
    if count == 1:
        return Manifest(task_id, report, _things(store, manifest_key(task_id), doc), _missing(doc))
    docs = {0: doc}
    for rank in range(1, count):
        with suppress(NotFoundError):
            docs[rank] = _read(store, node_key(task_id, rank))
    keys = {rank: node_key(task_id, rank) if rank else manifest_key(task_id) for rank in docs}
    found = joined({rank: _things(store, keys[rank], one) for rank, one in docs.items()})
    missing = [glob for glob in _missing(doc) if all(glob in _missing(one) for one in docs.values())]
    return Manifest(task_id, report, tuple(found), tuple(missing), tuple(r for r in range(count) if r not in docs))


def read_named(store: ResultStore, key: str) -> list[Chunk]:
    """Return the chunks that the manifest ``key`` of one node names; raises as :func:`read_manifest`."""
    things = _things(store, key, _read(store, key))
    return [chunk for thing in things if thing.content for chunk in thing.content.chunks]


def joined(parts: Mapping[int, Sequence[Kept]]) -> Iterator[Kept]:
    """Yield what several nodes kept, by rank: a path that more than one has is ``rank-<rank>/<path>`` of each.

    The value of a function is that of the first.
    """
    counts = Counter(thing.path for things in parts.values() for thing in things if thing.kind == ARTIFACT)
    seen = set()
    for rank, things in sorted(parts.items()):
        for thing in things:
            if thing.kind == ARTIFACT and (counts[thing.path] > 1 or _OF_A_RANK.match(thing.path)):
                yield attrs.evolve(thing, path=f"rank-{rank}/{thing.path}", rank=rank)
            elif (thing.kind, thing.path) not in seen:
                yield attrs.evolve(thing, rank=rank)
            seen.add((thing.kind, thing.path))


def _read(store: ResultStore, key: str) -> dict[str, Any]:
    text = b"".join(store.get(key))
    with _believed(store, key):
        doc = json.loads(text)
        name, _, version = str(doc["schema"]).partition("/")
        if (name, version.partition(".")[0]) != ("flow.kept", "1"):
            raise ValueError(f"its schema is {doc['schema']}")
    return dict(doc)


def _things(store: ResultStore, key: str, doc: Mapping[str, Any]) -> tuple[Kept, ...]:
    with _believed(store, key):
        return tuple(_thing(one) for one in doc["things"])


def _missing(doc: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(map(str, doc.get("missing") or ()))


@contextmanager
def _believed(store: ResultStore, key: str) -> Iterator[None]:
    """Tell of a manifest that is damaged, or names a path that leads out."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{key} in {store.name} cannot be read: {error}", "run the task again") from error


def dump_manifest(
    task_id: str, report: Mapping[str, Any] | None, things: list[dict[str, Any]], missing: list[str], nodes: int = 1
) -> bytes:
    """Return a manifest's text."""
    doc = {"schema": SCHEMA, "task_id": task_id, "report": report, "things": things, "missing": missing, "nodes": nodes}
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
