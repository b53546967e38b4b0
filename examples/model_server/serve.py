"""Answers predictions over HTTP on the port that Flow has chosen; standard library only."""

from __future__ import annotations

import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from model import predict


class Handler(BaseHTTPRequestHandler):
    """``GET /health`` says that the model is loaded, ``POST /predict`` asks it."""

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/health" else 404, {})

    def do_POST(self) -> None:
        flower = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(200, predict(flower["length"], flower["width"]))

    def _answer(self, status: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


def main() -> None:
    """Load for a moment, as models do, then serve."""
    time.sleep(0.3)
    port = int(os.environ["FLOW_PORT_API"])
    print("serving on port", port, flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
