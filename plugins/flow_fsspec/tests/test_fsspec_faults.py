"""What goes wrong, by its class, in words without secrets; and what is gone on with in spite of it."""

from __future__ import annotations

import hashlib
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flow_core import (
    AuthError,
    ConfigError,
    ConflictError,
    FlowError,
    NotFoundError,
    QuotaError,
    StateError,
    TransientError,
    UnavailableError,
)

from .opened import get, open_store, put
from .proxy import relay
from .services import BUCKET, S3Service, free_ports

LARGE = bytes(range(256)) * (5 << 12)  # 5 MiB


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return f"faults/{request.node.name}-{time.monotonic_ns()}"


def test_a_wrong_secret_key_is_an_auth_error_without_the_key(s3: S3Service, home: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("not-the-secret-key")
    store = open_store(home, s3.profile(secret_key={"file": str(tmp_path / "wrong")}))
    with pytest.raises(AuthError, match="SignatureDoesNotMatch") as told:
        put(store, "a", b"x")
    assert "not-the-secret" not in f"{told.value}{told.value.hint}{told.value.__cause__}"
    with pytest.raises(AuthError):
        store.stat("a")


def test_an_unknown_access_key_is_an_auth_error(s3: S3Service, home: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("nobody")
    with pytest.raises(AuthError, match="InvalidAccessKeyId"):
        put(open_store(home, s3.profile(access_key={"file": str(tmp_path / "wrong")})), "a", b"x")


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure", "files"])
def test_an_object_that_is_put_again_is_young_again(
    request: pytest.FixtureRequest, home: Path, tmp_path: Path, prefix: str, kind: str
) -> None:
    profile = {"url": f"file://{tmp_path}/kept"} if kind == "files" else request.getfixturevalue(kind)
    store = open_store(home, profile.profile() if isinstance(profile, S3Service) else profile)
    before = put(store, f"{prefix}/a", b"x").key and store.stat(f"{prefix}/a")
    deadline = time.monotonic() + 20
    while (now := store.stat(f"{prefix}/a")).modified_at == before.modified_at:
        assert time.monotonic() < deadline
        put(store, f"{prefix}/a", b"x")
    assert (get(store, f"{prefix}/a"), now.sha256) == (b"x", before.sha256)


def test_who_may_only_read_cannot_store(s3: S3Service, home: Path) -> None:
    with pytest.raises(AuthError, match="AccessDenied"):
        put(open_store(home, s3.profile("reader")), "a", b"x")


def test_no_credentials_at_all_says_what_to_set(s3: S3Service, home: Path) -> None:
    store = open_store(home, {"url": f"s3://{BUCKET}/x", "endpoint_url": s3.endpoint})
    with pytest.raises(AuthError, match="no credentials") as told:
        put(store, "a", b"x")
    assert "access_key" in told.value.hint


def test_half_of_the_credentials_is_refused(s3: S3Service, home: Path) -> None:
    profile = s3.profile()
    del profile["secret_key"]
    with pytest.raises(AuthError, match="no secret_key"):
        put(open_store(home, profile), "a", b"x")


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_wrong_clock_is_named(s3: S3Service, home: Path, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    import botocore.auth

    clock: Any = botocore.auth.get_current_datetime
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: clock(*a, **k) + timedelta(hours=hours))
    with pytest.raises(AuthError, match="RequestTimeTooSkewed") as told:
        put(open_store(home, s3.profile()), "a", b"x")
    assert "clock" in told.value.hint


def test_a_missing_bucket_is_not_found_by_name(s3: S3Service, home: Path) -> None:
    store = open_store(home, s3.profile(url="s3://no-such-bucket/x"))
    for use in (lambda: put(store, "a", b"x"), lambda: get(store, "a"), lambda: list(store.list())):
        with pytest.raises(NotFoundError, match="no-such-bucket does not exist"):
            use()


def test_a_full_disk_is_a_quota_error_and_leaves_nothing(home: Path, tmp_path: Path) -> None:
    store = open_store(home, {"url": f"file://{tmp_path}/shelf"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(QuotaError, match="too large"):
            put(store, "a", LARGE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(store.list()) == []
    assert list((tmp_path / "shelf/.flow-parts").iterdir()) == []


ANSWERS = [
    (507, "XMinioStorageFull", QuotaError),
    (403, "QuotaExceeded", QuotaError),
    (503, "SlowDown", TransientError),
    (500, "InternalError", TransientError),
    (400, "AuthorizationHeaderMalformed", ConfigError),
    (409, "ConditionalRequestConflict", TransientError),
    (403, "ExpiredToken", AuthError),
]


@pytest.mark.parametrize(("status", "code", "kind"), ANSWERS, ids=[code for _, code, _ in ANSWERS])
def test_what_other_services_answer_has_its_class(
    home: Path, tmp_path: Path, status: int, code: str, kind: type[FlowError]
) -> None:
    """Answers that no server here gives."""
    (tmp_path / "k").write_text("key")
    key = {"file": str(tmp_path / "k")}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>secret text</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Retry-After", "7")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        store = open_store(home, {"url": "s3://b", "endpoint_url": endpoint, "access_key": key, "secret_key": key})
        with pytest.raises(kind, match=code) as told:
            put(store, "a", b"x")
        server.shutdown()
    assert "secret text" not in str(told.value)
    if isinstance(told.value, TransientError):
        assert told.value.retry_after == 7.0


def test_a_put_that_is_cut_once_arrives_whole(s3: S3Service, home: Path, prefix: str) -> None:
    with relay(s3.endpoint) as between:
        store = open_store(home, s3.profile(endpoint_url=between.endpoint))
        between.cut_up, between.cuts = 1 << 20, 1
        put(store, f"{prefix}/a", LARGE)
        assert between.cut == 1
    assert get(open_store(home, s3.profile()), f"{prefix}/a") == LARGE


def test_a_put_that_is_cut_again_and_again_is_transient_and_leaves_nothing(
    s3: S3Service, home: Path, prefix: str
) -> None:
    with relay(s3.endpoint) as between:
        store = open_store(home, s3.profile(endpoint_url=between.endpoint))
        between.cut_up, between.cuts = 1 << 20, 100
        with pytest.raises(TransientError, match="broke off"):
            put(store, f"{prefix}/a", LARGE)
    assert list(open_store(home, s3.profile()).list(prefix)) == []


def test_a_get_that_is_cut_goes_on_where_it_was(s3: S3Service, home: Path, prefix: str) -> None:
    put(open_store(home, s3.profile()), f"{prefix}/a", LARGE)
    with relay(s3.endpoint) as between:
        store = open_store(home, s3.profile(endpoint_url=between.endpoint))
        between.cut_down, between.cuts = 2 << 20, 2
        assert get(store, f"{prefix}/a") == LARGE
        assert between.cut == 2


def test_a_get_over_a_slow_link_comes_through(s3: S3Service, home: Path, prefix: str) -> None:
    data = LARGE[: 1 << 20]
    put(open_store(home, s3.profile()), f"{prefix}/a", data)
    with relay(s3.endpoint) as between:
        between.bytes_per_second = 1 << 20
        assert get(open_store(home, s3.profile(endpoint_url=between.endpoint)), f"{prefix}/a") == data


def test_what_is_replaced_while_it_is_read_is_not_mixed(s3: S3Service, home: Path, prefix: str) -> None:
    direct = open_store(home, s3.profile())
    put(direct, f"{prefix}/a", LARGE)
    with relay(s3.endpoint) as between:
        store = open_store(home, s3.profile(endpoint_url=between.endpoint))
        pieces = store.get(f"{prefix}/a")
        between.cut_down, between.cuts = 2 << 20, 1
        next(pieces)
        direct.delete(f"{prefix}/a")
        put(direct, f"{prefix}/a", LARGE[::-1])
        with pytest.raises(FlowError):
            list(pieces)


def test_a_server_that_was_down_serves_again(s3: S3Service, home: Path, prefix: str) -> None:
    (port,) = free_ports(1)
    store = open_store(home, s3.profile(endpoint_url=f"http://127.0.0.1:{port}"))
    with relay(s3.endpoint, port):
        put(store, f"{prefix}/a", b"x")
    with pytest.raises(TransientError, match="takes no connections"):
        store.stat(f"{prefix}/a")
    with relay(s3.endpoint, port):
        assert get(store, f"{prefix}/a") == b"x"


def test_an_unknown_host_is_unavailable(s3: S3Service, home: Path) -> None:
    with pytest.raises(UnavailableError, match=r"host .* is not known"):
        put(open_store(home, s3.profile(endpoint_url="https://store.invalid")), "a", b"x")


def test_a_certificate_nobody_trusts_is_named(s3: S3Service, home: Path) -> None:
    with pytest.raises(UnavailableError, match="certificate"):
        put(open_store(home, s3.profile(endpoint_url=s3.endpoint.replace("http:", "https:"))), "a", b"x")


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure", "file"])
def test_of_eight_writers_at_once_one_wins(
    request: pytest.FixtureRequest, home: Path, tmp_path: Path, prefix: str, kind: str
) -> None:
    given = {"url": f"file://{tmp_path}/shelf"} if kind == "file" else request.getfixturevalue(kind)
    store = open_store(home, given.profile() if isinstance(given, S3Service) else given)
    contents = [bytes([n]) * 50_000 for n in range(8)]

    def write(data: bytes) -> bytes | None:
        try:
            put(store, f"{prefix}/a", data)
        except ConflictError:
            return None
        return data

    with ThreadPoolExecutor(8) as pool:
        won = [data for data in pool.map(write, contents) if data is not None]
    assert won == [get(store, f"{prefix}/a")]


@pytest.mark.parametrize("kind", ["s3", "file"])
def test_a_gibibyte_is_streamed_in_flat_memory(
    request: pytest.FixtureRequest, home: Path, tmp_path: Path, prefix: str, kind: str
) -> None:
    given = {"url": f"file://{tmp_path}/shelf"} if kind == "file" else request.getfixturevalue(kind)
    store = open_store(home, given.profile() if isinstance(given, S3Service) else given)
    piece, count = os.urandom(1 << 20), 1024
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(piece)
    put(store, f"{prefix}/warm", b"x")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    store.put(f"{prefix}/a", (piece for _ in range(count)), digest.hexdigest())
    assert sum(len(part) for part in store.get(f"{prefix}/a")) == count << 20
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    store.delete(f"{prefix}/a")
    assert grown < 300 << 20


def test_a_large_object_that_breaks_off_leaves_no_parts(s3: S3Service, home: Path, prefix: str) -> None:
    def broken() -> Iterator[bytes]:
        for _ in range(130):
            yield bytes(1 << 20)
        raise OSError("the source broke off")

    store = open_store(home, s3.profile())
    with pytest.raises(StateError):
        store.put(f"{prefix}/a", broken(), "0" * 64)
    assert list(store.list(prefix)) == []
    assert not s3.client().list_multipart_uploads(Bucket=BUCKET, Prefix=f"flow/{prefix}").get("Uploads")


ODD = [
    "a b",
    "ü/ñ",
    "a%20b",
    "a+b",
    "=&?",
    "x?versionId=1",
    "#1",
    "a~b!$'()*,;:@[]{}^`|<>",
    "名/前",
    "x" * 200,
    "-",
    "a.b.c",
]


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure", "file"])
def test_odd_keys_are_kept_as_they_are(
    request: pytest.FixtureRequest, home: Path, tmp_path: Path, prefix: str, kind: str
) -> None:
    given = {"url": f"file://{tmp_path}/shelf"} if kind == "file" else request.getfixturevalue(kind)
    store = open_store(home, given.profile() if isinstance(given, S3Service) else given)
    for key in ODD:
        put(store, f"{prefix}/{key}", key.encode())
    assert sorted(info.key for info in store.list(f"{prefix}/")) == sorted(f"{prefix}/{key}" for key in ODD)
    assert [get(store, f"{prefix}/{key}") for key in ODD] == [key.encode() for key in ODD]


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "./a", "a/../b", "..", "a\nb", "a\0b", "a\\b", "x" * 1100])
def test_keys_that_cannot_be_kept_are_refused(s3: S3Service, home: Path, key: str) -> None:
    store = open_store(home, s3.profile())
    for use in (lambda: store.stat(key), lambda: put(store, key, b"x"), lambda: list(store.get(key))):
        with pytest.raises(ConfigError):
            use()


def test_ten_thousand_objects_are_listed(s3: S3Service, home: Path, prefix: str) -> None:
    client = s3.client()
    keys = [f"{prefix}/{n:05}" for n in range(10_000)]
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda key: client.put_object(Bucket=BUCKET, Key=f"flow/{key}", Body=b""), keys):
            pass
    assert [info.key for info in open_store(home, s3.profile()).list(prefix)] == keys


def test_damaged_content_is_found_when_it_is_read(s3: S3Service, home: Path, prefix: str) -> None:
    store = open_store(home, s3.profile())
    s3.client().put_object(Bucket=BUCKET, Key=f"flow/{prefix}/a", Body=b"damaged", Metadata={"sha256": "0" * 64})
    with pytest.raises(StateError, match="damaged"):
        get(store, f"{prefix}/a")


def test_what_a_ticket_stored_is_compared_by_its_content(s3: S3Service, home: Path, prefix: str) -> None:
    store = open_store(home, s3.profile())
    s3.client().put_object(Bucket=BUCKET, Key=f"flow/{prefix}/a", Body=b"content")
    put(store, f"{prefix}/a", b"content")
    with pytest.raises(ConflictError):
        put(store, f"{prefix}/a", b"other")


def test_calls_cost_the_requests_that_the_page_says(
    s3: S3Service, home: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.httpsession import URLLib3Session

    sent: list[str] = []
    send: Any = URLLib3Session.send
    monkeypatch.setattr(URLLib3Session, "send", lambda self, one: (sent.append(one.method), send(self, one))[1])
    store = open_store(home, s3.profile())

    def cost(use: Callable[[], object]) -> int:
        sent.clear()
        use()
        return len(sent)

    large = bytes(65 << 20)
    assert cost(lambda: put(store, f"{prefix}/a", b"x")) == 1
    assert cost(lambda: put(store, f"{prefix}/a", b"x")) == 3
    assert cost(lambda: store.stat(f"{prefix}/a")) == 1
    assert cost(lambda: get(store, f"{prefix}/a")) == 1
    assert cost(lambda: list(store.list(prefix))) == 1
    assert cost(lambda: store.ticket(f"{prefix}/a", "PUT")) == 0
    assert cost(lambda: store.delete(f"{prefix}/a")) == 2
    assert cost(lambda: put(store, f"{prefix}/b", large[: 64 << 20])) == 1
    assert cost(lambda: put(store, f"{prefix}/c", large)) == 4
