"""Bringing what a task keeps to a result store, through tickets, until it is all there.

Chunks first, each an object ``blobs/<sha256>``, then the manifest: where that is, all is there. Nodes that share no
folder have one each, ``nodes/<rank>.json``, before that of rank 0. In the task's folder
``tickets.json`` (0600) says that this is still to be done; ``uploads.jsonl`` has a line for each object that is there,
``kept.json`` the manifest once it is known, ``upload.json`` how it goes. One process a folder: it holds ``upload.lock``.
"""

import fcntl
import json
import os
import time
from hashlib import sha256
from typing import Dict, List, Optional, Tuple

from . import tickets
from .gathering import Gathering
from .kept import Thing, things
from .peers import Peers
from .pending import is_pending
from .record import Doc, read_final, read_json, write_json
from .tickets import TicketError

SCHEMA = "flow.kept/1"
CHUNK = 64 << 20
_AT_ONCE = 4  # files: so many chunks are in memory
_WAIT = 3600.0  # seconds in which a store may be away
_FIRST_PAUSE, _MAX_PAUSE = 1.0, 30.0
_LOOK = 0.5  # seconds between two looks for fresh tickets
# Younger (seconds) than what a store's owner removes because nobody names it yet.
_TRUSTED = 12 * 3600.0


def detach(folder: str) -> int:
    """Have a process of its own do it, and return at once."""
    if os.fork():
        return 0
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    try:
        upload(folder)
    finally:
        os._exit(0)


def upload(folder: str, patient: bool = False, peers: Optional[Peers] = None) -> int:
    """Bring everything there; 0 when it is, 1 when the store was away for too long.

    ``patient``: wait for another process that does it; else leave it to that one. ``peers``: the lines to nodes that
    share no folder, where they are up already.
    """
    folder = os.path.abspath(folder)
    lock = os.open(folder + "/upload.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if patient else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(lock)
        return 0
    try:
        return Upload(folder, peers).run()
    finally:
        os.close(lock)


class Upload:
    """One upload; the caller holds its lock."""

    def __init__(self, folder: str, peers: Optional[Peers] = None) -> None:
        self._folder = folder
        self._nodes = Gathering(folder, peers)
        keep = (read_json(folder + "/bundle.json") or {}).get("keep") or {}
        self._wait = float(keep.get("wait") or _WAIT)
        self._tickets: Doc = {}
        self._sent: Dict[str, float] = {}
        self._tries = 0

    def run(self) -> int:
        """Try until it is done, or the store was away for so long that somebody must look."""
        self._read_sent()
        pause, since = _FIRST_PAUSE, time.monotonic()
        while is_pending(self._folder):
            before = len(self._sent)
            try:
                self._take_fresh()
                self._send()
                return 0
            except (TicketError, OSError) as error:
                if len(self._sent) > before:
                    pause, since = _FIRST_PAUSE, time.monotonic()
                over = time.monotonic() - since > self._wait
                self._tell("gave_up" if over else "waiting", str(error), getattr(error, "stale", False))
                if over:
                    return 1
            self._rest(pause)
            pause = min(_MAX_PAUSE, 2 * pause)
        return 0

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        fresh = self._folder + "/control/tickets.json"
        while time.monotonic() < until and is_pending(self._folder) and not os.path.exists(fresh):
            time.sleep(min(_LOOK, max(0.0, until - time.monotonic())))

    def _take_fresh(self) -> None:
        try:
            os.rename(self._folder + "/control/tickets.json", self._folder + "/tickets.json")
        except FileNotFoundError:
            pass
        self._tickets = read_json(self._folder + "/tickets.json") or {}
        if any(not self._tickets.get(name) for name in ("blobs", "nodes" if self._nodes.rank else "final")):
            raise TicketError("its tickets cannot be read", stale=True)

    def _send(self) -> None:
        manifest = self._known() or self._send_things()
        # As text that stays: sent twice, it is the same object.
        text = json.dumps(manifest, sort_keys=True).encode()
        self._nodes.wait_for_others(self._wait)
        ticket, name = self._nodes.take_leave(self._tickets)
        tickets.put(ticket, name, text)
        self._note("nodes/" + name if name else "final.json", text)
        self._tell("kept", "")
        os.unlink(self._folder + "/tickets.json")
        self._nodes.close(self._wait)

    def _known(self) -> Optional[Doc]:
        """The manifest of an earlier try, while what it names is sure to be there."""
        try:
            young = time.time() - os.stat(self._folder + "/kept.json").st_mtime < _TRUSTED
        except FileNotFoundError:
            return None
        return read_json(self._folder + "/kept.json") if young else None

    def _send_things(self) -> Doc:
        found, missing = things(self._folder)
        self._tell("sending", "")
        manifest: Doc = {
            "schema": SCHEMA,
            "task_id": (read_json(self._folder + "/bundle.json") or {}).get("task_id"),
            "report": read_final(self._folder),
            "nodes": self._nodes.count,
            "things": self._send_all(found),
            "missing": missing,
        }
        write_json(self._folder + "/kept.json", manifest)
        return manifest

    def _send_all(self, found: List[Thing]) -> List[Doc]:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self._send_thing, found))

    def _send_thing(self, thing: Thing) -> Doc:
        whole = sha256()
        chunks: List[Tuple[str, int]] = []
        with open(thing.file, "rb", buffering=0) as file:
            while True:
                data = file.read(CHUNK)
                if not data:
                    break
                whole.update(data)
                chunks.append((self._send_chunk(data), len(data)))
        size = sum(chunk[1] for chunk in chunks)
        return dict(thing.doc(), size=size, sha256=whole.hexdigest(), chunks=chunks)

    def _send_chunk(self, data: bytes) -> str:
        name = sha256(data).hexdigest()
        if name not in self._sent:
            tickets.put(self._tickets["blobs"], name, data)
            self._note("blobs/" + name, data, name)
            self._sent[name] = time.time()
        return name

    def _read_sent(self) -> None:
        young = time.time() - _TRUSTED
        try:
            with open(self._folder + "/uploads.jsonl", "rb") as file:
                lines = file.read().split(b"\n")[:-1]
        except OSError:
            return
        for line in lines:
            try:
                doc = json.loads(line)
                if doc["at"] > young:
                    self._sent[str(doc["sha256"])] = float(doc["at"])
            except (ValueError, KeyError, TypeError):  # torn by a full disk
                continue

    def _note(self, key: str, data: bytes, digest: str = "") -> None:
        doc = {"key": key, "bytes": len(data), "sha256": digest or sha256(data).hexdigest(), "at": time.time()}
        fd = os.open(self._folder + "/uploads.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, json.dumps(doc).encode() + b"\n")
        finally:
            os.close(fd)

    def _tell(self, state: str, error: str, stale: bool = False) -> None:
        self._tries += state == "waiting"
        doc = {"state": state, "error": error, "stale": stale, "tries": self._tries, "at": time.time()}
        try:
            write_json(self._folder + "/upload.json", doc)
        except OSError:  # no room: it goes on all the same
            return
