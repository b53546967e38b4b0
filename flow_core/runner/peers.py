"""Nodes of one task that share no folder: what each writes for the others is copied to them.

``peers: {"address", "port", "token"}`` in the bundle: the node of rank 0 listens there, the others connect and say the
token, which only this task's nodes have. A frame is a line of JSON, ``{"path", "data"}``: a small file of the task's
folder, whole, again after each change. Rank 0 passes what it gets on to the rest. A cut line is made again, and then
everything is said again; a node that has gone is waited for, since it may come back with its disk.
"""

import hmac
import json
import os
import re
import socket
import threading
import time
from contextlib import suppress
from typing import Any, Dict, List, Optional

from .bundle import Bundle
from .record import write_file

_LONGEST = 1 << 20  # bytes of a frame
_AGAIN = 1.0  # seconds between two tries to connect
_OF_A_RANK = re.compile(r"attempts/\d+/(\d+)/exit|stored/(\d+)")
_OF_ALL = re.compile(r"attempts/\d+/(place\.json|failed\.json)|control/cancel")
_LAST_WORDS = 5.0  # seconds for the others to take in what they were told last


class Peers:
    """The connections of this node; :meth:`look` is called now and then, in the task's own thread."""

    def __init__(self, folder: str, bundle: Bundle, ranks: List[int]) -> None:
        self._folder, self._ranks = folder, ranks
        self._address = (str(bundle.peers["address"]), int(bundle.peers["port"]))
        self._token = str(bundle.peers["token"])
        self._said: Dict[str, bytes] = {}  # path -> what the others have been told, or have told us
        self._lines: List[socket.socket] = []
        self._lock = threading.Lock()
        self._closed = False

    def start(self) -> None:
        """Begin to listen or to connect; not before this node has looked at its own folder."""
        work = self._listen if 0 in self._ranks else self._connect
        threading.Thread(target=work, daemon=True).start()

    def look(self) -> None:
        """Tell the others what is new here."""
        for path, data in self._files():
            if self._said.get(path) != data:
                self._said[path] = data
                self._tell(path, data)

    def close(self) -> None:
        """Tell what is new, and leave when the others have taken it in: they close their ends of the lines."""
        self._closed = True
        self.look()
        with self._lock:
            for line in self._lines:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_WR)
        until = time.monotonic() + _LAST_WORDS
        while self._lines and time.monotonic() < until:
            time.sleep(0.01)

    def _files(self) -> "List[tuple[str, bytes]]":
        found = []
        for path in [*self._below("attempts"), "control/cancel", *("stored/%d" % rank for rank in self._ranks)]:
            try:
                with open("%s/%s" % (self._folder, path), "rb") as file:
                    found.append((path, file.read()))
            except OSError:
                continue
        return found

    def _below(self, name: str) -> List[str]:
        """What of the attempts is shared: of ranks only our own, of what all agree on whatever there is."""
        paths = []
        for number in _names("%s/%s" % (self._folder, name)):
            paths += ["%s/%s/%d/exit" % (name, number, rank) for rank in self._ranks]
            paths += ["%s/%s/%s" % (name, number, shared) for shared in ("place.json", "failed.json")]
        return paths

    def _tell(self, path: str, data: bytes, but: Optional[socket.socket] = None) -> None:
        with self._lock:
            for line in [line for line in self._lines if line is not but]:
                self._send(line, path, data)

    def _send(self, line: socket.socket, path: str, data: bytes) -> None:
        try:
            line.sendall(json.dumps({"path": path, "data": data.decode("latin-1")}).encode() + b"\n")
        except OSError:  # its reader sees the end of it
            return

    def _listen(self) -> None:
        with socket.socket() as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            while True:
                try:
                    door.bind(("", self._address[1]))
                    break
                except OSError:  # the one before us has not let go of it yet
                    time.sleep(_AGAIN)
            door.listen(64)
            while True:
                line, _ = door.accept()
                threading.Thread(target=self._welcome, args=(line,), daemon=True).start()

    def _welcome(self, line: socket.socket) -> None:
        line.settimeout(10.0)
        try:
            said = json.loads(_read_line(line.makefile("rb", 0)))
            known = hmac.compare_digest(str(said.get("token")), self._token)
        except (OSError, ValueError, AttributeError):
            known = False
        if not known or self._closed:
            line.close()
            return
        line.settimeout(None)
        self._serve(line)

    def _connect(self) -> None:
        while True:
            try:
                line = socket.create_connection(self._address, timeout=10.0)
                line.settimeout(None)
                line.sendall(json.dumps({"token": self._token}).encode() + b"\n")
                self._serve(line)
            except OSError:
                pass
            time.sleep(_AGAIN)

    def _serve(self, line: socket.socket) -> None:
        """Say all there is, then take in what comes until the line is cut."""
        for option, value in (("SO_KEEPALIVE", 1), ("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
            level = socket.SOL_SOCKET if option == "SO_KEEPALIVE" else socket.IPPROTO_TCP
            line.setsockopt(level, getattr(socket, option), value)
        with self._lock:
            for path, data in list(self._said.items()):
                self._send(line, path, data)
            self._lines.append(line)
        try:
            stream = line.makefile("rb")
            for frame in iter(lambda: _read_line(stream), b""):
                self._take(json.loads(frame), line)
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._lines.remove(line)
            line.close()

    def _take(self, frame: Dict[str, Any], line: socket.socket) -> None:
        path, data = str(frame["path"]), str(frame["data"]).encode("latin-1")
        if not self._is_from_others(path) or self._said.get(path) == data:
            return
        self._said[path] = data
        if 0 in self._ranks:  # first: with the last of it in our folder we may leave
            self._tell(path, data, but=line)
        place = "%s/%s" % (self._folder, path)
        os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
        write_file(place, data)

    def _is_from_others(self, path: str) -> bool:
        """Whether a path is one that others may write: not elsewhere, and not of our own ranks."""
        found = _OF_A_RANK.fullmatch(path)
        rank = (found[1] or found[2]) if found else None
        return _OF_ALL.fullmatch(path) is not None if rank is None else int(rank) not in self._ranks


def _names(folder: str) -> List[str]:
    try:
        return [name for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []


def _read_line(stream: Any) -> bytes:
    data: bytes = stream.readline(_LONGEST)
    if data and not data.endswith(b"\n"):
        raise ValueError("a frame that is too long or was cut")
    return data
