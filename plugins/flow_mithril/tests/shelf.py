"""A result store for tests: a folder, whose tickets lead to a small HTTP server that machines reach."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import attrs

from flow_core import hookimpl
from flow_core.hookspecs import ResultHooks
from flow_core.results import FolderStore
from flow_core.types import ResultInfo, Ticket


@attrs.frozen
class ShelfSettings:
    root: Path
    url: str = ""


class Shelf(ResultHooks):
    Settings = ShelfSettings

    def __init__(self, settings: ShelfSettings) -> None:
        self._folder = FolderStore(FolderStore.Settings(root=settings.root))
        self._url = settings.url

    @hookimpl
    def flow_result_stat(self, key: str) -> ResultInfo:
        return self._folder.flow_result_stat(key)

    @hookimpl
    def flow_result_list(self, prefix: str) -> Iterator[ResultInfo]:
        return self._folder.flow_result_list(prefix)

    @hookimpl
    def flow_result_get(self, key: str, offset: int) -> Iterator[bytes]:
        return self._folder.flow_result_get(key, offset)

    @hookimpl
    def flow_result_put(self, key: str, data: Iterator[bytes], sha256: str) -> ResultInfo:
        return self._folder.flow_result_put(key, data, sha256)

    @hookimpl
    def flow_result_delete(self, key: str) -> bool:
        return self._folder.flow_result_delete(key)

    @hookimpl
    def flow_result_ticket(self, key: str, method: str, size: int | None, expires_in: float) -> Ticket:
        return Ticket(method, f"{self._url}/{key}" + ("{key}" if key.endswith("/") else ""))


@contextmanager
def served(root: Path) -> Iterator[int]:
    """Serve ``root`` on a port of loopback; an object is put whole."""

    store = FolderStore(FolderStore.Settings(root=root))

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            store.flow_result_put(self.path.lstrip("/"), iter([data]), sha256(data).hexdigest())
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
