"""The service: HTTP in front, the world behind."""

from __future__ import annotations

import json
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flow_mithril.testing import (  # each registers what it answers
    _account,
    _bids,  # noqa: F401
    _catalog,  # noqa: F401
    _cpu,  # noqa: F401
    _instance_routes,  # noqa: F401
    _instances,
    _market,
    _reservations,
    _scripts,  # noqa: F401
    _volumes,  # noqa: F401
)
from flow_mithril.testing._control import control
from flow_mithril.testing._faults import Fault
from flow_mithril.testing._machines import Machines, NoMachines
from flow_mithril.testing._refusal import Refusal
from flow_mithril.testing._routes import HANDLERS, Call
from flow_mithril.testing._schema import Schema
from flow_mithril.testing._settings import Settings
from flow_mithril.testing._world import Row, World

_TICK = 0.05


class Double:
    """A Mithril API on loopback: ``with Double() as double: ... double.url``.

    Every request is checked against the API's description, and every answer: one that the service would not give
    stands in :attr:`mistakes`, and is answered with 500.
    """

    def __init__(self, settings: Settings | None = None, port: int = 0) -> None:
        self.settings = settings = settings or Settings()
        self._mistakes: list[str] = []
        self.schema = Schema()
        self._end = threading.Event()
        self._server = _Server(self, port)
        self.world = World(settings, machines(settings))
        port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{port}"
        self.world.machines.publish(port)

    def __enter__(self) -> Double:
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._serve, self._live)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server.server_close()
        self.world.machines.close()

    @property
    def mistakes(self) -> list[str]:
        """What went wrong here, and is no fault of who uses the API."""
        return [*self._mistakes, *self.world.machines.problems]

    def note(self, mistake: str) -> None:
        self._mistakes.append(mistake)

    def control(self, name: str, **said: Any) -> Any:
        """Do what ``POST /_control/NAME`` does."""
        answer = control(self.world, "POST", name, said)
        self.settle()
        return answer

    @property
    def requests(self) -> list[Row]:
        """Every request so far, the oldest first."""
        return list(self.world.requests)

    def settle(self) -> None:
        """Let everything happen whose time has come."""
        with self.world.lock:
            _market.settle(self.world)
            _reservations.settle(self.world)
            _instances.settle(self.world)

    def answer(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], raw: bytes) -> Answer:
        """Return what the service says to a request, done as it asks."""
        try:
            with self.world.lock:
                self.settle()
                return self._answer(method, path, query, headers, raw)
        except Refusal as no:
            return no.status, {"detail": no.detail}, no.headers

    def _answer(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], raw: bytes) -> Answer:
        operation, parameters = self.schema.find(method, path)
        key = _account.caller(self.world, headers.get("authorization", ""))
        call = Call(parameters, self.schema.query(operation, query), self.schema.body(operation, raw), key)
        repeat = f"{path} {headers.get('idempotency-key', '')}"
        if self.settings.idempotency and repeat in self.world.answered:
            return self.world.answered[repeat]
        status, handler = HANDLERS[method, operation.path]
        body = handler(self.world, call)
        self.schema.check_answer(operation, status, body)
        answer: Answer = status, json.loads(json.dumps(body)), {}
        if method == "POST" and "idempotency-key" in headers:
            self.world.answered[repeat] = answer
        return answer

    def fault(self, method: str, path: str) -> Fault | None:
        with self.world.lock:
            return next((each for each in self.world.faults if each.hits(method, path)), None)

    def wait(self, seconds: float) -> None:
        """Wait, at most until the end of the service."""
        self._end.wait(seconds)

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def _live(self) -> None:
        while not self._end.wait(_TICK):
            try:
                self.settle()
            except Exception as mistake:
                self.note(f"between requests: {type(mistake).__name__}: {mistake}")


def machines(settings: Settings) -> Machines:
    """Return what is to be below the API."""
    if not settings.boot:
        return NoMachines(settings.ssh_destination)
    from flow_mithril.testing._booted import BootedMachines

    return BootedMachines(settings)


Answer = tuple[int, Any, dict[str, str]]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # clients that come at once while this machine is busy; with 5 some are cut off

    def __init__(self, double: Double, port: int) -> None:
        self.double = double
        super().__init__(("127.0.0.1", port), _Request)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body waits 40 ms for the client to have acknowledged the headers
    server: _Server

    def _any(self) -> None:
        double, url = self.server.double, urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        if url.path.startswith("/_control/"):
            return self._control(url.path.removeprefix("/_control/"), query, raw)
        seen: Row = {"at": time.time(), "method": self.command, "path": url.path, "query": query, "headers": headers}
        seen |= {"body": raw.decode("utf-8", "replace"), "status": None}
        double.world.requests.append(seen)
        fault = double.fault(self.command, url.path)
        if fault is not None and fault.kind in ("hang", "cut"):
            if fault.kind == "hang":
                double.wait(fault.seconds)
            return self._cut()
        refused = fault is not None and fault.kind == "answer"
        answer = (0, None, {}) if refused else self._answered(url.path, query, headers, raw)
        if fault is not None:
            answer = fault.status, {"detail": fault.detail}, fault.headers()
        seen["status"] = answer[0]
        if fault is not None and fault.kind == "apply-cut":
            return self._cut()
        return self._send(*answer)

    def _answered(self, path: str, query: dict[str, str], headers: dict[str, str], raw: bytes) -> Answer:
        try:
            return self.server.double.answer(self.command, path, query, headers, raw)
        except Exception as mistake:
            self.server.double.note(f"{self.command} {path}: {type(mistake).__name__}: {mistake}")
            return 500, {"detail": "Internal Server Error"}, {}

    def _control(self, name: str, query: dict[str, str], raw: bytes) -> None:
        try:
            said = {**query, **(json.loads(raw) if raw else {})}
            answer = control(self.server.double.world, self.command, name, said)
            self.server.double.settle()
            self._send(200, answer, {})
        except Refusal as no:
            self._send(no.status, {"detail": no.detail}, {})

    def _send(self, status: int, body: Any, headers: dict[str, str]) -> None:
        content = b"" if body is None and status == 204 else json.dumps(body).encode()
        self.send_response_only(status)
        clock = self.server.double.world.clock
        common = {"Date": formatdate(clock.time(), usegmt=True), "Content-Type": "application/json"}
        for name, value in {**common, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.close()

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _any  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: what was asked stands in the record of requests."""
