"""Fetching through tickets what a machine starts with: the task's folder, then its code, each file checked by its sum."""

import base64
import fcntl
import functools
import glob
import json
import os
import shutil
import sys
import time
from contextlib import suppress
from hashlib import sha256
from typing import Any, Callable, Dict, List, TypeVar

from . import tickets
from .bundle import Bundle, BundleError
from .environment import TICKETS, read_secrets
from .record import Doc, write_file
from .tickets import TicketError

T = TypeVar("T")
_PATIENCE = float(os.environ.get("FLOW_RUNNER_PATIENCE", "600"))  # seconds in which a store may be away
_PAUSES = (0.5, 30.0)
_AT_ONCE = 4
_HOST_KEYS = "/etc/ssh/ssh_host_*_key.pub"


def main(args: List[str]) -> int:
    """Make the task folder ``args[0]`` of what the URL on stdin leads to; 1 when it cannot be had."""
    folder = os.path.abspath(args[0])
    url = sys.stdin.readline().strip()
    try:
        _stage(folder, _patiently(lambda: tickets.get({"method": "GET" if "://" in url else "PATH", "url": url})))
        return 0
    except (TicketError, ValueError, KeyError) as error:
        sys.stderr.write("flow: the task cannot be fetched: %s\n" % error)
        return 1


def _stage(folder: str, data: bytes) -> None:
    if os.path.isdir(folder):
        return
    doc = json.loads(data)
    if "bundle" not in doc:
        raise TicketError("it was fetched before", stale=True)
    new = os.path.join(os.path.dirname(folder), ".%s.new" % os.path.basename(folder))
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new, 0o700)
    for path, content in doc["files"].items():
        target = "%s/files/%s" % (new, _inside(path))
        os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
        write_file(target, base64.b64decode(content), 0o700)
    if doc["secrets"]:
        write_file(new + "/secrets", json.dumps(doc["secrets"]).encode())
    write_file(new + "/bundle.json", json.dumps(doc["bundle"]).encode())
    os.rename(new, folder)
    if doc.get("used"):  # what the URL leads to holds secrets: it serves once
        with suppress(TicketError):
            tickets.put(doc["used"], "task", b"{}")
        with suppress(TicketError):
            _patiently(lambda: tickets.put(doc["used"], "host-keys", _host_keys()))


def _host_keys() -> bytes:
    """The public keys by which clients can tell this machine from any other."""
    found = []
    for path in sorted(glob.glob(_HOST_KEYS)):
        with suppress(OSError), open(path, "rb") as file:
            found.append(b" ".join(file.read().split()[:2]) + b"\n")
    return b"".join(found)


def code(folder: str, bundle: Bundle) -> None:
    """Fetch the code of a task that comes by tickets, unless it is there. Raises BundleError when it cannot be had."""
    if os.path.isdir(folder + "/code"):
        return
    lock = os.open(folder + "/code.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the ranks of one machine share the folder
        if not os.path.isdir(folder + "/code"):
            _fetch(folder, bundle.code["files"])
    except (TicketError, OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError("the code cannot be fetched: %s" % error) from error
    finally:
        os.close(lock)


def _fetch(folder: str, files: List[Doc]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    leave = json.loads(read_secrets(folder).get(TICKETS, "{}")).get("code") or {}
    new = folder + "/.code.new"
    shutil.rmtree(new, ignore_errors=True)
    os.mkdir(new, 0o700)
    plain = [file for file in files if "link" not in file]
    for file in plain:
        os.makedirs(os.path.dirname("%s/%s" % (new, _inside(file["path"]))), exist_ok=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda file: _write(new, file, leave), plain))
    # Last: no file is written through a link.
    for file in files:
        if "link" in file:
            path = "%s/%s" % (new, _inside(file["path"]))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(file["link"], path)
    os.rename(new, folder + "/code")


def _write(new: str, file: Doc, leave: Dict[str, Any]) -> None:
    path = "%s/%s" % (new, _inside(file["path"]))
    with open(path, "wb") as out:
        for name, _ in file["chunks"]:
            out.write(_patiently(functools.partial(_chunk, leave[name], name)))
    os.chmod(path, int(file.get("mode") or 0o644) & 0o777)


def _chunk(ticket: Dict[str, Any], name: str) -> bytes:
    data = tickets.get(ticket)
    if sha256(data).hexdigest() != name:
        raise TicketError("what came is not what was sent (another sum)")
    return data


def _patiently(get: Callable[[], T]) -> T:
    pause, until = _PAUSES[0], time.monotonic() + _PATIENCE
    while True:
        try:
            return get()
        except TicketError as error:
            if error.stale or time.monotonic() > until:
                raise
        time.sleep(pause)
        pause = min(_PAUSES[1], 2 * pause)


def _inside(path: str) -> str:
    parts = path.split("/")
    if os.path.isabs(path) or ".." in parts or not path:
        raise ValueError("%r is no path below a folder" % path)
    return path
