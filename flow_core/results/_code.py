"""Code in a store: a tree that names files by their content, for machines that no client can copy files to."""

from __future__ import annotations

import json
import os
import secrets
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from stat import S_IMODE, S_ISLNK
from typing import TYPE_CHECKING, Any

import attrs

from flow_core.errors import CapabilityError, ConfigError
from flow_core.results._blobs import Chunk, Content, cut, put_blob
from flow_core.results._tickets import SECRET, document, usable
from flow_core.types import SecretBox, Start

if TYPE_CHECKING:
    from flow_core.faces import ResultStore
    from flow_core.types import Bundle, Submission, Ticket

SCHEMA = "flow.tree/1"
_FEW = 20  # files that are asked about one by one


def publish_code(store: ResultStore, submission: Submission, expires_in: float, shared: bool = False) -> Submission:
    """Bring the code of a submission to the store; return the submission whose machine fetches it from there.

    What the store has is not sent again: of a changed tree only the files that changed. The tickets travel with the
    secrets. ``shared``: the machine sees the file system that a PATH leads to. Raises CapabilityError where the store gives
    no leave that the machine can use.
    """
    bundle = submission.bundle
    if bundle.code is None:
        return submission
    files = list(_files(Path(bundle.code), bundle.code_files))
    tree = json.dumps({"schema": SCHEMA, "files": files}, sort_keys=True).encode()
    name = sha256(tree).hexdigest()
    # First: from here on it is in use, and a sweep leaves it alone.
    _put(store, f"tasks/{submission.task_id}/code.json", json.dumps({"tree": name}).encode())
    _put_files(store, Path(bundle.code), files, name, tree)
    chunks = {chunk for file in files for chunk, _ in file.get("chunks", ())}
    tickets = {chunk: _ticket(store, f"blobs/{chunk}", expires_in, shared) for chunk in sorted(chunks)}
    code = {"mode": "snapshot", "root": None, "tree": name, "files": files}
    return attrs.evolve(submission, bundle=_with_code(bundle, code, tickets))


def publish_start(store: ResultStore, submission: Submission, expires_in: float, shared: bool = False) -> Ticket:
    """Bring all that a machine needs to start a task to the store, and return the one ticket that fetches it.

    ``python3 runner.pyz fetch FOLDER`` with the ticket's URL on stdin makes the task's folder of it. It holds the values of
    the task's secrets: call :func:`discard_start` when the task runs. Raises CapabilityError.
    """
    bundle = submission.bundle
    key = f"{_start_key(submission.task_id)}/task"
    _put(store, key, _start(bundle))
    ticket = store.ticket(key, "GET", None, expires_in)
    if not usable(ticket, shared):
        store.delete(key)
        raise CapabilityError(f"{store.name} gives no leave that a machine elsewhere can use", "choose another store")
    return ticket


def prepare_start(store: ResultStore, task_id: str, expires_in: float) -> Start:
    """Bring the runner to the store and return leave to fetch it and a task that is brought there later.

    Raises CapabilityError where the store gives no URL that a machine elsewhere can use without headers.
    """
    from flow_core.runner import archive

    folder, runner = _start_key(task_id), archive()
    names = ("task", "runner.pyz", "host-keys")
    places = [store.ticket(f"{folder}/{name}", "GET", None, expires_in) for name in names]
    if not all("://" in place.url and not place.headers for place in places):
        raise CapabilityError(f"{store.name} gives no leave that a machine elsewhere can use", "choose another store")
    used = store.ticket(f"{folder}/", "PUT", None, expires_in)
    _put(store, f"{folder}/runner.pyz", runner)

    def publish(bundle: Bundle) -> None:
        _put(store, f"{folder}/task", _start(bundle, used=document(used)))

    return Start(places[0].url, places[1].url, sha256(runner).hexdigest(), publish, places[2].url)


def _start_key(task_id: str) -> str:
    return f"tasks/{task_id}/start-{secrets.token_hex(16)}"


def _start(bundle: Bundle, **more: object) -> bytes:
    """Return all that a machine needs as ``runner.pyz fetch`` reads it."""
    if bundle.code is not None:
        raise ConfigError(
            f"the code of {bundle.document['task_id']} is not in the store yet", "call publish_code first"
        )
    content = {
        "bundle": dict(bundle.document),
        "secrets": dict(bundle.secrets.values),
        "files": {path: b64encode(data).decode() for path, data in bundle.files.items()},
    }
    return json.dumps({**content, **more}).encode()


def discard_start(store: ResultStore, task_id: str) -> None:
    """Remove what :func:`publish_start` and :func:`prepare_start` brought there."""
    for info in list(store.list(f"tasks/{task_id}/start-")):
        store.delete(info.key)


def _files(root: Path, paths: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for path in paths:
        try:
            found = os.lstat(root / path)
            if S_ISLNK(found.st_mode):
                yield {"path": path, "link": os.readlink(root / path)}
                continue
            content = _content(root / path)
        except FileNotFoundError:  # removed since it was chosen
            continue
        except OSError as error:
            hint = "mend its permissions, or leave it out with `exclude`"
            raise ConfigError(f"cannot read {root / path}: {error.strerror}", hint) from error
        chunks = [[chunk.sha256, chunk.size] for chunk in content.chunks]
        mode = 0o755 if S_IMODE(found.st_mode) & 0o100 else 0o644
        yield {"path": path, "mode": mode, "size": content.size, "sha256": content.sha256, "chunks": chunks}


def _content(path: Path) -> Content:
    """Return what :func:`put_blob` would, without a store."""
    whole, chunks = sha256(), []
    for piece in cut(path):
        whole.update(piece)
        chunks.append(Chunk(sha256(piece).hexdigest(), len(piece)))
    return Content(whole.hexdigest(), sum(chunk.size for chunk in chunks), tuple(chunks))


def _put_files(store: ResultStore, root: Path, files: list[dict[str, Any]], name: str, tree: bytes) -> None:
    if _has(store, f"trees/{name}"):  # it is written last: its files are there
        return
    there = {info.key for info in store.list("blobs/")} if len(files) > _FEW else set()
    for file in files:
        if not all(f"blobs/{chunk}" in there for chunk, _ in file.get("chunks", ())) or not there:
            _put_file(store, root / file["path"], file)
    _put(store, f"trees/{name}", tree)


def _put_file(store: ResultStore, path: Path, file: Mapping[str, Any]) -> None:
    if "link" in file:
        return
    if put_blob(store, path).sha256 != file["sha256"]:
        raise ConfigError(f"{path} changed while it was read", "submit again")


def _has(store: ResultStore, key: str) -> bool:
    return any(info.key == key for info in store.list(key))


def _put(store: ResultStore, key: str, data: bytes) -> None:
    store.put(key, iter([data]), sha256(data).hexdigest())


def _ticket(store: ResultStore, key: str, expires_in: float, shared: bool) -> dict[str, object]:
    ticket = store.ticket(key, "GET", None, expires_in)
    if not usable(ticket, shared):
        raise CapabilityError(f"{store.name} gives no leave that a machine elsewhere can use", "choose another store")
    return document(ticket)


def _with_code(bundle: Bundle, code: Mapping[str, object], tickets: Mapping[str, object]) -> Bundle:
    given = json.loads(bundle.secrets.values.get(SECRET, "{}"))
    box = SecretBox({**bundle.secrets.values, SECRET: json.dumps({**given, "code": tickets})})
    document = {**bundle.document, "code": code}
    return attrs.evolve(bundle, document=document, secrets=box, code=None, code_files=())
