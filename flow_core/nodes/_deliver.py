"""Tasks that travel: a staged folder is put on a machine over ssh, and what is left of it is fetched back."""

from __future__ import annotations

import io
import json
import re
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import IO, TYPE_CHECKING

from flow_core.errors import CapabilityError, NotFoundError, StateError, TransientError, UnavailableError
from flow_core.nodes import _logs, _remote
from flow_core.nodes._connection import UNREACHABLE, Connection
from flow_core.nodes._node import own_state

if TYPE_CHECKING:
    from flow_core.types import NodeAccess

_NOTHING: Mapping[str, bytes] = MappingProxyType({})
_RUNNER = "runner.pyz"
_HOST_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+=*")


class NotReadyError(TransientError):
    """The machine is up, and what prepares it has not ended."""


def deliver(
    access: NodeAccess,
    staged: Path,
    document: Mapping[str, object],
    files: Mapping[str, bytes] = _NOTHING,
    state: Path | None = None,
) -> None:
    """Put the task folder ``staged`` where ``access`` says, ``ROOT/tasks/<name>``, whole and by one rename.

    ``document`` stands in for its ``bundle.json``; the runner (``runner.pyz``) and ``files`` (0600) go into ``ROOT``
    before it. A second call changes nothing of the task. The machine says by a file ``ROOT/ready`` that it is set up and by
    ``ROOT/failed``, which holds the reason, that it could not be. Raises NotReadyError before that, UnavailableError
    when it failed, TransientError when the machine cannot be reached or the folder came incomplete.
    """
    place = PurePosixPath(access.path)
    connection = Connection(access, state or own_state())
    with tempfile.TemporaryFile() as tar:
        _pack(tar, staged, document, files)
        tar.seek(0)
        done = connection.run(_remote.deliver(str(place.parent.parent), place.name), tar, seconds=None)
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode == _remote.NOT_READY:
        raise NotReadyError(f"{access.host} is still being set up", "wait")
    if done.returncode == _remote.SETUP_FAILED:
        raise UnavailableError(f"{access.host} could not be set up: {said}", "run the task again")
    if done.returncode == _remote.INCOMPLETE:
        raise TransientError(f"the task arrived incomplete on {access.host} ({said})", "try again")
    if done.returncode:
        raise StateError(f"the task cannot be written on {access.host}: {said}", "free some space there")


def _pack(out: IO[bytes], staged: Path, document: Mapping[str, object], files: Mapping[str, bytes]) -> None:
    machine = {**files, _RUNNER: _remote.archive()}
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in machine.items():
            _add(tar, f"machine/{name}", data)
        for path in sorted(staged.iterdir()):
            if path.name != "bundle.json":
                tar.add(path, f"task/{path.name}", filter=_anonymous)
        _add(tar, "task/bundle.json", json.dumps(dict(document)).encode())
        _add(tar, "whole", b"")  # last: what was cut has none


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o600
    tar.addfile(member, io.BytesIO(data))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def fetch(access: NodeAccess, target: Path, most: int, state: Path | None = None) -> None:
    """Add what a task's machine has of it (reports, logs, result; no code, no secrets) to the folder ``target``.

    Raises CapabilityError when its logs have more than ``most`` bytes, NotFoundError when the machine has no such
    folder, TransientError when it cannot be reached; then nothing that was fetched is whole.
    """
    connection = Connection(access, state or own_state())
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as tar:
        code = _logs.drain(connection.start(_remote.fetch(access.path, most), errors), tar.write)
        errors.seek(0)
        said = errors.read()
        if code == _remote.TOO_LARGE:
            raise CapabilityError(f"the logs on {access.host} have more than {most} bytes", "raise fetch_bytes")
        if code == _remote.NO_FOLDER:
            gone = f"there is no task folder {access.path} on {access.host}"
            raise NotFoundError(gone, "see what there is with `flow status`")
        if code:
            raise (
                connection.trouble(said)
                if code == UNREACHABLE
                else TransientError(f"{access.host} did not send the task's folder (exit code {code})", "try again")
            )
        tar.seek(0)
        _unpack(tar, target)


def _unpack(file: IO[bytes], target: Path) -> None:
    """Only folders and plain files, only below ``target``: what comes from a machine is not trusted with more."""
    with tarfile.open(fileobj=file) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts:
                continue
            if member.isdir():
                (target / path).mkdir(0o700, parents=True, exist_ok=True)
            elif member.isreg() and (content := tar.extractfile(member)) is not None:
                (target / path).parent.mkdir(0o700, parents=True, exist_ok=True)
                _write(target / path, content)


def _write(path: Path, content: IO[bytes]) -> None:
    from shutil import copyfileobj

    from flow_core.nodes._files import receive

    receive(path, lambda out: copyfileobj(content, out), 0o600)


def run(
    access: NodeAccess, text: str, stdin: bytes = b"", seconds: float = 60.0, state: Path | None = None
) -> tuple[int, str]:
    """Run the shell text ``text`` on a machine; return its exit code and what it said on both streams.

    Raises TransientError when the machine cannot be reached or takes longer than ``seconds``.
    """
    done = Connection(access, state or own_state()).run(text, stdin, seconds)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def host_keys(url: str) -> tuple[str, ...]:
    """Return the public host keys that a machine brought to ``Start.host_keys_url``, for ``NodeAccess.host_keys``.

    Empty as long as they are not there, or cannot be fetched.
    """
    from flow_core.runner import tickets

    try:
        lines = tickets.get({"method": "GET", "url": url}).decode("ascii").splitlines()
    except (tickets.TicketError, ValueError):
        return ()
    return tuple(line for line in lines if _HOST_KEY.fullmatch(line))


def disconnect(access: NodeAccess, state: Path | None = None) -> None:
    """End this user's connection to a machine that was given back: whatever still waits for it learns so at once.

    Nothing happens when there is none; the next use of the machine connects again.
    """
    Connection(access, state or own_state()).close()
