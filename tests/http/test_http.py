"""HTTP for plugins, against a real server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from flow_core.errors import AuthError, ConfigError, TransientError
from flow_core.http import Service, pages

Script = list[tuple[int, dict[str, str]] | None]


class Server(ThreadingHTTPServer):
    """Answers what its script says, request by request: (status, headers), None to cut the connection; then 200."""

    script: Script
    seen: list[Any]
    peers: set[Any]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def _any(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.server.seen.append((self.command, self.path, json.loads(self.rfile.read(length) or "null"), self.headers))
        self.server.peers.add(self.client_address)
        step = self.server.script.pop(0) if self.server.script else (200, {})
        if step is None:
            self.close_connection = True
            return
        self.send_response(step[0])
        for name, value in step[1].items():
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = do_DELETE = do_PATCH = _any  # noqa: N815 - the names that http.server calls

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.script, server.seen, server.peers = [], [], set()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def service(server: Server) -> Iterator[Service]:
    service = Service(f"http://127.0.0.1:{server.server_port}/api/", lambda: {"Authorization": "Bearer k"})
    yield service
    service.close()


def test_a_call_has_its_query_body_and_headers(server: Server, service: Service) -> None:
    answer = service.send("POST", "jobs", query={"a": 1, "b": None}, body={"x": [1]}, headers={"Idempotency-Key": "i"})
    assert answer.status_code == 200
    ((method, path, body, headers),) = server.seen
    assert (method, path, body) == ("POST", "/api/jobs?a=1", {"x": [1]})
    assert (headers["Authorization"], headers["Idempotency-Key"]) == ("Bearer k", "i")


def test_connections_are_kept(server: Server, service: Service) -> None:
    for _ in range(3):
        service.send("GET", "jobs")
    assert len(server.peers) == 1


@pytest.mark.parametrize("step", [None, (500, {}), (503, {"Retry-After": "1"}), (429, {})])
def test_what_may_be_done_twice_is_tried_again(server: Server, service: Service, step: Any) -> None:
    server.script = [step]
    assert service.send("GET", "jobs").status_code == 200
    assert len(server.seen) == 2


def test_a_post_whose_outcome_is_unknown_is_never_sent_again(server: Server, service: Service) -> None:
    server.script = [None]
    with pytest.raises(TransientError, match="does not answer"):
        service.send("POST", "jobs")
    server.script = [(502, {})]
    assert service.send("POST", "jobs").status_code == 502
    assert len(server.seen) == 2


def test_a_post_that_was_refused_for_now_did_nothing_and_is_sent_again(server: Server, service: Service) -> None:
    server.script = [(429, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"})]
    assert service.send("POST", "jobs").status_code == 200


@pytest.mark.parametrize("step", [(429, {"Retry-After": "3600"}), (501, {}), (404, {}), (302, {"Location": "/other"})])
def test_other_answers_and_long_waits_are_the_callers(server: Server, service: Service, step: Any) -> None:
    server.script = [step]
    assert service.send("GET", "jobs").status_code == step[0]
    assert len(server.seen) == 1


def test_a_service_that_is_broken_twice_says_so(server: Server, service: Service) -> None:
    server.script = [(500, {}), (500, {})]
    assert service.send("DELETE", "jobs/1").status_code == 500
    assert len(server.seen) == 2


def test_what_may_be_done_twice_is_the_plugins_to_say(server: Server, service: Service) -> None:
    server.script = [(500, {}), (500, {})]
    assert service.send("PATCH", "jobs/1").status_code == 500
    own = Service(service.url, repeatable=("PATCH",))
    assert own.send("PATCH", "jobs/1").status_code == 200
    own.close()


def test_a_credential_that_is_missing_is_told_before_anything_is_sent(server: Server) -> None:
    def missing() -> dict[str, str]:
        raise AuthError("there is no key", "flow login")

    with pytest.raises(AuthError, match="no key"):
        Service(f"http://localhost:{server.server_port}", missing).send("GET", "jobs")
    assert server.seen == []


@pytest.mark.parametrize(
    "url", ["http://example.org", "ftp://example.org", "example.org", "https://me:word@example.org"]
)
def test_credentials_go_nowhere_in_the_clear(url: str) -> None:
    with pytest.raises(ConfigError, match=r"clear|cannot be called"):
        Service(url)


def _book(*found: tuple[list[int], str | None]) -> Callable[[str | None], tuple[list[int], str | None]]:
    left = list(found)
    return lambda cursor: left.pop(0)


def test_pages_are_read_to_the_end() -> None:
    assert list(pages(_book(([1, 2], "a"), ([], "b"), ([3], None)))) == [1, 2, 3]


def test_a_page_that_comes_again_ends_the_list_with_an_error() -> None:
    with pytest.raises(TransientError, match="not complete"):
        list(pages(_book(([1], "a"), ([2], "a"))))
