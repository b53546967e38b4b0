"""Tickets on real servers: what they give leave for, and nothing else."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from flow_core import CapabilityError, ConfigError
from flow_core.faces import ResultStore

from .opened import get, open_store, put, send
from .services import S3Service

REFUSED = (400, 401, 403)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return f"tickets/{request.node.name}-{time.monotonic_ns()}"


@pytest.fixture(params=["s3", "azure"])
def signed(request: pytest.FixtureRequest, home: Path) -> ResultStore:
    """A store whose server checks signatures."""
    profile = request.getfixturevalue(request.param)
    return open_store(home, profile.profile() if isinstance(profile, S3Service) else profile)


def test_a_put_ticket_creates_its_object_and_never_replaces_it(signed: ResultStore, prefix: str) -> None:
    ticket = signed.ticket(f"{prefix}/a", "PUT", 5, 60)
    assert send(ticket, b"first")[0] in (200, 201)
    assert send(ticket, b"other")[0] in (403, 409, 412)
    assert get(signed, f"{prefix}/a") == b"first"


def test_a_put_ticket_is_good_for_no_other_key(signed: ResultStore, prefix: str) -> None:
    ticket = signed.ticket(f"{prefix}/a", "PUT", 5, 60)
    assert send(ticket, b"first", url=ticket.url.replace("/a?", "/b?"))[0] in REFUSED
    assert list(signed.list(prefix)) == []


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
def test_a_put_ticket_is_good_for_no_other_method(signed: ResultStore, prefix: str, method: str) -> None:
    put(signed, f"{prefix}/a", b"there")
    assert send(signed.ticket(f"{prefix}/a", "PUT", 5, 60), method=method)[0] in REFUSED
    assert get(signed, f"{prefix}/a") == b"there"


def test_a_get_ticket_reads_its_object_and_nothing_else(signed: ResultStore, prefix: str) -> None:
    put(signed, f"{prefix}/a", b"there")
    put(signed, f"{prefix}/b", b"hidden")
    ticket = signed.ticket(f"{prefix}/a", "GET", None, 60)
    assert send(ticket) == (200, b"there")
    assert send(ticket, url=ticket.url.replace("/a?", "/b?"))[0] in REFUSED
    assert send(ticket, b"other", method="PUT")[0] in REFUSED
    assert get(signed, f"{prefix}/a") == b"there"


def test_an_expired_ticket_is_refused(signed: ResultStore, prefix: str) -> None:
    put(signed, f"{prefix}/a", b"there")
    tickets = [
        signed.ticket(f"{prefix}/{key}", method, None, 1.0)
        for key, method in (("a", "GET"), ("b", "PUT"), ("c/", "PUT"))
    ]
    time.sleep(max(0.0, max(ticket.expires_at or 0 for ticket in tickets) + 1.1 - time.time()))
    assert [send(tickets[0])[0] in REFUSED, send(tickets[1], b"x")[0] in REFUSED] == [True, True]
    assert send(tickets[2], b"x", "name")[0] in REFUSED


def test_a_prefix_ticket_of_s3_stays_below_its_prefix(s3: S3Service, home: Path, prefix: str) -> None:
    store = open_store(home, s3.profile())
    ticket = store.ticket(f"{prefix}/below/", "PUT", None, 60)
    assert send(ticket, b"one", "sub/a")[0] == 204
    assert send(ticket, b"two", "b", key=f"flow/{prefix}/beside")[0] in REFUSED
    assert send(ticket, b"two", "b", key="elsewhere")[0] in REFUSED
    assert send(ticket, b"two", "b", policy=_widened(ticket.fields["policy"]))[0] in REFUSED
    assert [info.key for info in store.list(prefix)] == [f"{prefix}/below/sub/a"]


def _widened(policy: str) -> str:
    document = json.loads(base64.b64decode(policy))
    document["conditions"] = [one for one in document["conditions"] if not isinstance(one, list)]
    return base64.b64encode(json.dumps(document).encode()).decode()


def test_a_prefix_ticket_of_s3_holds_to_its_size(s3: S3Service, home: Path, prefix: str) -> None:
    ticket = open_store(home, s3.profile()).ticket(f"{prefix}/", "PUT", 100, 60)
    assert send(ticket, b"x" * 100, "a")[0] == 204
    assert send(ticket, b"x" * 101, "b")[0] == 400


def test_a_prefix_ticket_of_azure_creates_and_nothing_else(
    azure: Mapping[str, object], home: Path, prefix: str
) -> None:
    store = open_store(home, azure)
    ticket = store.ticket(f"{prefix}/", "PUT", None, 60)
    assert send(ticket, b"one", "a")[0] == 201
    assert send(ticket, b"two", "a")[0] in (403, 409, 412)
    assert send(ticket, name="a", method="GET")[0] in REFUSED
    assert send(ticket, name="a", method="DELETE")[0] in REFUSED
    assert get(store, f"{prefix}/a") == b"one"


def test_a_signature_of_gcs_is_that_of_its_service_account(gcs: Mapping[str, object], home: Path, prefix: str) -> None:
    """The test server checks none, so it is checked here as the cloud documents it."""
    from cryptography.exceptions import InvalidSignature

    store = open_store(home, gcs)
    ticket = store.ticket(f"{prefix}/a b", "PUT", 5, 60)
    assert ticket.headers == {"x-goog-if-generation-match": "0", "x-goog-content-length-range": "0,5"}
    _check_gcs_url(gcs, ticket.url, "PUT", ticket.headers)
    with pytest.raises(InvalidSignature):
        _check_gcs_url(gcs, ticket.url, "GET", ticket.headers)
    assert send(ticket, b"first")[0] == 200
    assert get(store, f"{prefix}/a b") == b"first"


def test_a_form_of_gcs_names_its_prefix_and_is_signed(gcs: Mapping[str, object], home: Path, prefix: str) -> None:
    ticket = open_store(home, gcs).ticket(f"{prefix}/", "PUT", 100, 60)
    policy = ticket.fields["policy"]
    conditions = json.loads(base64.b64decode(policy))["conditions"]
    assert ["starts-with", "$key", f"flow/{prefix}/"] in conditions
    assert ["content-length-range", 0, 100] in conditions
    _verify(gcs, bytes.fromhex(ticket.fields["x-goog-signature"]), policy.encode())
    assert ticket.fields["key"] == f"flow/{prefix}/{{key}}"


def _check_gcs_url(gcs: Mapping[str, object], url: str, method: str, headers: Mapping[str, str]) -> None:
    import hashlib

    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    head, _, _ = parts.query.partition("&X-Goog-Signature=")
    signed = {**headers, "host": parts.netloc}
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    canonical = "\n".join((method, parts.path, head, lines, ";".join(sorted(signed)), "UNSIGNED-PAYLOAD"))
    scope = query["X-Goog-Credential"].partition("/")[2]
    text = "\n".join(("GOOG4-RSA-SHA256", query["X-Goog-Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()))
    _verify(gcs, bytes.fromhex(query["X-Goog-Signature"]), text.encode())


def _verify(gcs: Mapping[str, object], signature: bytes, signed: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    account = gcs["service_account"]
    assert isinstance(account, dict)
    key = load_pem_private_key(json.loads(Path(account["file"]).read_text())["private_key"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    key.public_key().verify(signature, signed, padding.PKCS1v15(), SHA256())


def test_tickets_of_s3_hold_for_seven_days_at_most(s3: S3Service, home: Path) -> None:
    ticket = open_store(home, s3.profile()).ticket("a", "PUT", None, 30 * 86400.0)
    assert ticket.expires_at is not None
    assert ticket.expires_at - time.time() <= 7 * 86400


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_signing_needs_no_network(scheme: str, home: Path, tmp_path: Path) -> None:
    from .services import AZURE_KEY, service_account

    for name, value in (("k", "key"), ("g", json.dumps(service_account())), ("a", AZURE_KEY)):
        (tmp_path / name).write_text(value)
    own: dict[str, dict[str, object]] = {
        "s3": {
            "region": "eu-west-1",
            "access_key": {"file": str(tmp_path / "k")},
            "secret_key": {"file": str(tmp_path / "k")},
        },
        "gs": {"service_account": {"file": str(tmp_path / "g")}},
        "az": {"account": "acme", "account_key": {"file": str(tmp_path / "a")}},
    }
    store = open_store(home, {"url": f"{scheme}://kit-bucket/p", **own[scheme]})
    tickets = [store.ticket("a", "PUT"), store.ticket("a", "GET"), store.ticket("a/", "PUT")]
    assert all(ticket.url.startswith("https://") and "kit-bucket" in ticket.url for ticket in tickets)


def test_a_ticket_shows_neither_url_nor_form(s3: S3Service, home: Path) -> None:
    store = open_store(home, s3.profile())
    shown = f"{store.ticket('a', 'PUT')!r}{store.ticket('a/', 'PUT')!r}"
    assert "Signature" not in shown
    assert "policy" not in shown


def test_s3_tickets_without_a_region_are_refused_before_they_fail_elsewhere(home: Path, tmp_path: Path) -> None:
    (tmp_path / "k").write_text("key")
    key = {"file": str(tmp_path / "k")}
    store = open_store(home, {"url": "s3://bucket", "access_key": key, "secret_key": key})
    with pytest.raises(ConfigError, match="region"):
        store.ticket("a", "PUT")


def test_what_cannot_be_given_leave_for_is_refused(home: Path) -> None:
    with pytest.raises(CapabilityError):
        open_store(home, {"url": "memory://tickets"}).ticket("a", "PUT")
    store = open_store(home, {"url": "file:///tmp/none"})
    for key, method in (("a/", "GET"), ("a", "DELETE")):
        with pytest.raises(CapabilityError):
            store.ticket(key, method)


def test_a_folder_gives_paths(home: Path, tmp_path: Path) -> None:
    store = open_store(home, {"url": f"file://{tmp_path}/shelf"})
    ticket = store.ticket("a/", "PUT")
    assert (ticket.method, Path(ticket.url)) == ("PATH", tmp_path / "shelf/a")
    assert Path(ticket.url).is_dir()
