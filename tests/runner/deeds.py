"""A platform that is asked to take a machine back: a real HTTP server that notes what it gets."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Asked = tuple[str, str, str, str]


class Platform:
    """Answers every request with ``status``; ``asked`` has (method, path, authorization, body) of each."""

    def __init__(self) -> None:
        self.status, self.asked = 200, list[Asked]()
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                platform.asked.append((self.command, self.path, self.headers.get("Authorization") or "", body))
                self.send_response(platform.status)
                self.end_headers()

            do_DELETE = do_PATCH = do_POST = _answer  # noqa: N815 - http.server's form

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's word
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/machine"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
