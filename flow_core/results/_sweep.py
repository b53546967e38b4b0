"""Removing what nobody wants any more from a store: results past their time, then bytes that nothing names."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs

from flow_core.errors import NotFoundError, StateError
from flow_core.results._manifest import manifest_key, read_named

if TYPE_CHECKING:
    from flow_core.faces import ResultStore
    from flow_core.types import ResultInfo

_YOUNG = 86400.0  # seconds in which bytes may lie there before the manifest that names them is written
_UNFINISHED = 30 * 86400.0  # seconds beyond `keep` for tasks that have no manifest: they may run still


@attrs.frozen
class Sweep:
    """What was, or would be, removed from a store, and what is left. Sizes in bytes. ``error``: why it was not swept."""

    store: str
    tasks: tuple[str, ...]
    objects: int
    freed: int
    left: int
    max_bytes: int | None = None
    error: str = ""


def sweep(store: ResultStore, keep: float | None, dry_run: bool = False, max_bytes: int | None = None) -> Sweep:
    """Remove the results of tasks that ended more than ``keep`` seconds ago, then what no task names.

    Bytes younger than a day stay: a task that is just uploading has written them. Raises StateError, before anything is
    removed, when a manifest that is to stay cannot be read.
    """
    found = {info.key: info for info in store.list()}
    expired = _expired(found, keep)
    wanted = _wanted(store, found, expired)
    doomed = [key for key in found if _task(key) in expired]
    bytes_ = [info.key for info in found.values() if _is_loose(info, wanted)]
    if not dry_run:
        _delete(store, doomed)
        # Named since the first look: by a task that has the same bytes.
        late = {info.key: info for info in store.list("tasks/") if info.key not in found}
        wanted |= _wanted(store, late, frozenset())
        # Trees before their files: a tree that is there has them all.
        bytes_ = [key for key in bytes_ if key not in wanted and _is_loose(_now(store, key), wanted)]
        bytes_.sort(key=lambda key: not key.startswith("trees/"))
        _delete(store, bytes_)
    gone = [found[key].size for key in (*doomed, *bytes_)]
    total = sum(info.size for info in found.values())
    return Sweep(store.name, tuple(sorted(expired)), len(gone), sum(gone), total - sum(gone), max_bytes)


def forget(store: ResultStore, task_id: str) -> bool:
    """Remove a task's results; their bytes go with the next :func:`sweep`. False when there was nothing."""
    keys = [info.key for info in store.list(f"tasks/{task_id}/")]
    _delete(store, sorted(keys, key=lambda key: key != manifest_key(task_id)))
    return bool(keys)


def used(store: ResultStore) -> int:
    """Return the bytes of all objects."""
    return sum(info.size for info in store.list())


def _expired(found: Mapping[str, ResultInfo], keep: float | None) -> frozenset[str]:
    if keep is None:
        return frozenset()
    newest: dict[str, float] = {}
    for info in found.values():
        if task := _task(info.key):
            age = -1.0 if info.modified_at is None else time.time() - info.modified_at
            newest[task] = min(age, newest.get(task, age))
    limit = {task: keep if manifest_key(task) in found else keep + _UNFINISHED for task in newest}
    return frozenset(task for task, age in newest.items() if age > limit[task])


def _task(key: str) -> str:
    parts = key.split("/")
    return parts[1] if parts[0] == "tasks" and len(parts) > 2 else ""


def _wanted(store: ResultStore, found: Iterable[str], expired: frozenset[str]) -> set[str]:
    """Return the keys of the bytes that the tasks that stay name."""
    wanted: set[str] = set()
    for key in found:
        task = _task(key)
        if task and task not in expired and key.endswith(".json"):
            try:
                wanted.update(_named(store, key))
            except NotFoundError:  # removed meanwhile
                continue
    return wanted


def _named(store: ResultStore, key: str) -> Iterator[str]:
    if not key.endswith("/code.json"):
        yield from (chunk.key for chunk in read_named(store, key))
        return
    tree = _json(store, key)["tree"]
    yield f"trees/{tree}"
    for file in _json(store, f"trees/{tree}")["files"]:
        yield from (f"blobs/{name}" for name, _ in file.get("chunks", ()))


def _json(store: ResultStore, key: str) -> dict[str, list[dict[str, list[tuple[str, int]]]]]:
    try:
        found: dict[str, list[dict[str, list[tuple[str, int]]]]] = json.loads(b"".join(store.get(key)))
    except ValueError as error:
        raise StateError(
            f"{key} in {store.name} cannot be read, so nothing was removed", "remove it by hand"
        ) from error
    return found


def _now(store: ResultStore, key: str) -> ResultInfo | None:
    with suppress(NotFoundError):
        return store.stat(key)
    return None


def _is_loose(info: ResultInfo | None, wanted: set[str]) -> bool:
    if info is None or not info.key.startswith(("blobs/", "trees/")) or info.key in wanted or info.modified_at is None:
        return False
    return time.time() - info.modified_at > _YOUNG


def _delete(store: ResultStore, keys: Iterable[str]) -> None:
    for key in keys:
        store.delete(key)
