"""A real store over HTTP for the tests: a server that is stopped, started and damaged, and the plugin that speaks to it."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from hashlib import sha256 as new_sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import attrs

from flow_core.client import Flow, Task
from flow_core.errors import CapabilityError, ConflictError, NotFoundError, TransientError
from flow_core.hookspecs import ResultHooks, hookimpl
from flow_core.types import ResultInfo, Ticket

PATIENCE = 30.0
Kept = Callable[[Flow, Task], str]
"""Waits until a task's results are in its store, or never will be; returns which."""


class Server:
    """Objects of a folder over HTTP; ``key`` is what a URL must be signed with."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.key, self.port = folder, "first", 0
        self.puts: list[str] = []
        self.refuse_after: int | None = None
        self._server: ThreadingHTTPServer | None = None
        folder.mkdir()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), type("Bound", (Handler,), {"store": self}))
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def path(self, key: str) -> Path:
        return self.folder / quote(key, safe="")

    def stored(self, prefix: str = "") -> list[str]:
        return sorted(key for key in (unquote(path.name) for path in self.folder.iterdir()) if key.startswith(prefix))


class Handler(BaseHTTPRequestHandler):
    store: Server

    def do_GET(self) -> None:
        key, query = self._asked()
        if not key:
            found = [(name, self.store.path(name).stat()) for name in self.store.stored(query["prefix"][0])]
            self._answer(200, json.dumps([(name, one.st_size, one.st_mtime) for name, one in found]).encode())
        elif self.store.path(key).is_file():
            self._answer(200, self.store.path(key).read_bytes())
        else:
            self._answer(404)

    def do_DELETE(self) -> None:
        there = self.store.path(self._asked()[0]).is_file()
        self.store.path(self._asked()[0]).unlink(missing_ok=True)
        self._answer(200 if there else 404)

    def do_PUT(self) -> None:
        key, query = self._asked()
        self._keep(key, self.rfile.read(int(self.headers["Content-Length"])), query.get("sign", [""])[0])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        border = b"--" + self.headers["Content-Type"].partition("boundary=")[2].encode()
        fields = {}
        for part in body.split(border)[1:-1]:
            head, _, data = part[2:-2].partition(b"\r\n\r\n")
            fields[head.partition(b'name="')[2].partition(b'"')[0].decode()] = data
        self._keep(fields["key"].decode(), fields["file"], fields["sign"].decode())

    def _asked(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return unquote(parts.path[1:]), parse_qs(parts.query, keep_blank_values=True)

    def _keep(self, key: str, data: bytes, sign: str) -> None:
        store = self.store
        if sign != store.key:
            self._answer(403)
        elif store.refuse_after is not None and len(store.puts) >= store.refuse_after:
            self._answer(503)
        elif store.path(key).exists():
            self._answer(412)
        else:
            store.path(f".{key}").write_bytes(data)
            store.path(f".{key}").rename(store.path(key))
            store.puts.append(key)
            self._answer(200)

    def _answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@attrs.frozen
class WebSettings:
    """Where the server is, how it signs, and which leave it gives: POST, PUT or none."""

    url: str
    folder: Path
    leave: str = "POST"


class WebStore(ResultHooks):
    Settings = WebSettings

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings

    @property
    def _key(self) -> str:
        return (self._settings.folder / "key").read_text()

    def _ask(self, path: str, method: str = "GET", data: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{self._settings.url}/{path}", data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                raise NotFoundError(f"there is no {path}") from None
            if error.code == 412:
                raise ConflictError(f"{path} is there") from None
            raise TransientError(f"the store answered {error.code}") from None
        except OSError as error:
            raise TransientError(f"the store is away: {error}") from error

    @hookimpl
    def flow_result_stat(self, key: str) -> ResultInfo:
        return ResultInfo(key, len(self._ask(quote(key))))

    @hookimpl
    def flow_result_list(self, prefix: str) -> Iterator[ResultInfo]:
        found = json.loads(self._ask(f"?prefix={quote(prefix, safe='')}"))
        return (ResultInfo(key, size, modified_at=at) for key, size, at in found)

    @hookimpl
    def flow_result_get(self, key: str, offset: int) -> Iterator[bytes]:
        return iter([self._ask(quote(key))[offset:]])

    @hookimpl
    def flow_result_put(self, key: str, data: Iterator[bytes], sha256: str) -> ResultInfo:
        content = b"".join(data)
        assert new_sha256(content).hexdigest() == sha256
        try:
            self._ask(f"{quote(key)}?sign={self._key}", "PUT", content)
        except ConflictError:
            if self._ask(quote(key)) != content:
                raise
        return ResultInfo(key, len(content))

    @hookimpl
    def flow_result_delete(self, key: str) -> bool:
        try:
            self._ask(quote(key), "DELETE")
        except NotFoundError:
            return False
        return True

    @hookimpl
    def flow_result_ticket(self, key: str, method: str) -> Ticket:
        url, sign = self._settings.url, self._key
        if not key.endswith("/"):
            return Ticket(method, f"{url}/{quote(key)}?sign={sign}")
        if self._settings.leave == "none":
            raise CapabilityError("there is no leave for a whole prefix")
        if self._settings.leave == "PUT":
            return Ticket("PUT", f"{url}/{key}{{key}}?sign={sign}")
        return Ticket("POST", url, fields={"key": f"{key}{{key}}", "sign": sign})
