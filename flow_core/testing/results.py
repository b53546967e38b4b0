"""Result stores: what must outlive the machine (``docs/behaviour/results.md``)."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import pytest

from flow_core.errors import CapabilityError, ConflictError, FlowError, NotFoundError
from flow_core.plugins import Plugin
from flow_core.plugins._scope import Scope
from flow_core.runner.tickets import form
from flow_core.testing._opened import open_scope
from flow_core.testing.load import LoadContract
from flow_core.types import ResultInfo, Ticket, new_request_id

_DATA = bytes(range(256)) * 20
_LARGE = bytes(range(251)) * 20_000


class Shelf:
    """A result store as scenarios use it: under keys of this test's own."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.prefix = f"kit/{new_request_id()}/"

    def put(self, key: str, data: bytes, digest: str = "") -> ResultInfo:
        """Store ``data`` in several pieces."""
        pieces = [data[start : start + 70_000] for start in range(0, len(data), 70_000)]
        return self.put_pieces(key, iter(pieces), digest or sha256(data).hexdigest())

    def put_pieces(self, key: str, pieces: Iterator[bytes], digest: str) -> ResultInfo:
        """Store what ``pieces`` yields."""
        info: ResultInfo = self.scope.call("flow_result_put", key=self.prefix + key, data=pieces, sha256=digest)
        assert isinstance(info, ResultInfo)
        return info

    def get(self, key: str, offset: int = 0) -> bytes:
        """Return an object's bytes from ``offset`` on."""
        return b"".join(self.scope.call("flow_result_get", key=self.prefix + key, offset=offset))

    def stat(self, key: str) -> ResultInfo:
        """Describe an object."""
        info: ResultInfo = self.scope.call("flow_result_stat", key=self.prefix + key)
        assert isinstance(info, ResultInfo)
        return info

    def listed(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with ``prefix``, without this test's own beginning."""
        found = self.scope.call("flow_result_list", prefix=self.prefix + prefix)
        return sorted(info.key.removeprefix(self.prefix) for info in found)

    def delete(self, key: str) -> bool:
        """Delete an object."""
        answer = self.scope.call("flow_result_delete", key=self.prefix + key)
        assert isinstance(answer, bool)
        return answer

    def ticket(self, key: str, method: str, size: int | None = None) -> Ticket:
        """Ask for leave to move one object."""
        ticket: Ticket = self.scope.call(
            "flow_result_ticket", key=self.prefix + key, method=method, size=size, expires_in=60.0
        )
        assert isinstance(ticket, Ticket)
        return ticket


class ResultStoreContract(LoadContract):
    """Scenarios R01 to R16, and those of loading. ``result_store`` names the plugin, or is its class."""

    kind: ClassVar[str] = "result store"
    claims: ClassVar[frozenset[str]] = frozenset(
        f"flow_result_{verb}" for verb in ("stat", "list", "get", "put", "delete", "ticket")
    )

    @pytest.fixture
    def shelf(self, plugin: Plugin, profile: Mapping[str, object]) -> Iterator[Shelf]:
        """The opened store; what a scenario stored is deleted after it."""
        shelf = Shelf(open_scope(plugin, profile))
        yield shelf
        for key in shelf.listed():
            shelf.delete(key)

    def test_r01_what_was_put_comes_back(self, shelf: Shelf) -> None:
        info = shelf.put("a", _DATA)
        assert (info.size, shelf.stat("a").size) == (len(_DATA), len(_DATA))
        assert shelf.stat("a").sha256 in (None, sha256(_DATA).hexdigest())
        assert shelf.get("a") == _DATA

    def test_r02_the_same_put_twice_is_one_object(self, shelf: Shelf) -> None:
        assert shelf.put("a", _DATA).size == shelf.put("a", _DATA).size
        assert shelf.listed() == ["a"]

    def test_r03_other_content_under_a_taken_key_is_a_conflict(self, shelf: Shelf) -> None:
        shelf.put("a", _DATA)
        with pytest.raises(ConflictError):
            shelf.put("a", b"other")
        assert shelf.get("a") == _DATA

    @pytest.mark.parametrize("offset", [0, 1, 255, len(_DATA) - 1, len(_DATA)])
    def test_r04_reading_begins_at_the_offset(self, shelf: Shelf, offset: int) -> None:
        shelf.put("a", _DATA)
        assert shelf.get("a", offset) == _DATA[offset:]

    def test_r05_what_is_not_there_is_not_found(self, shelf: Shelf) -> None:
        with pytest.raises(NotFoundError):
            shelf.stat("nothing")
        with pytest.raises(NotFoundError):
            shelf.get("nothing")
        assert shelf.delete("nothing") is False

    def test_r06_a_list_holds_what_begins_with_the_prefix(self, shelf: Shelf) -> None:
        for key in ("one/a", "one/b/c", "only", "two"):
            shelf.put(key, key.encode())
        assert shelf.listed("one/") == ["one/a", "one/b/c"]
        assert shelf.listed("on") == ["one/a", "one/b/c", "only"]
        assert shelf.listed("three") == []

    def test_r07_a_deleted_object_is_gone_and_its_key_free(self, shelf: Shelf) -> None:
        shelf.put("a", _DATA)
        assert shelf.delete("a") is True
        assert shelf.listed() == []
        assert shelf.delete("a") is False
        shelf.put("a", b"other")
        assert shelf.get("a") == b"other"

    def test_r08_a_put_that_breaks_off_leaves_nothing(self, shelf: Shelf) -> None:
        def broken() -> Iterator[bytes]:
            yield b"half"
            raise OSError("the source broke off")

        with pytest.raises((FlowError, OSError)):
            shelf.put_pieces("a", broken(), sha256(_DATA).hexdigest())
        assert shelf.listed() == []

    def test_r09_content_that_does_not_fit_its_sum_is_refused(self, shelf: Shelf) -> None:
        with pytest.raises(FlowError):
            shelf.put("a", b"damaged", sha256(_DATA).hexdigest())
        assert shelf.listed() == []

    def test_r10_a_large_object_comes_back_whole(self, shelf: Shelf) -> None:
        shelf.put("a", _LARGE)
        assert shelf.get("a") == _LARGE

    def test_r11_an_empty_object_is_an_object(self, shelf: Shelf) -> None:
        assert shelf.put("a", b"").size == 0
        assert shelf.get("a") == b""
        assert shelf.listed() == ["a"]

    def test_r12_keys_arrive_as_they_were_given(self, shelf: Shelf) -> None:
        keys = sorted(["a b", "ü", "a%20b", "a+b", "deep/er/one", "x.y", "=&?"])
        for key in keys:
            shelf.put(key, key.encode())
        assert shelf.listed() == keys
        assert [shelf.get(key) for key in keys] == [key.encode() for key in keys]

    @pytest.mark.parametrize("key", ["../../../kit-escape", "/kit-escape", "a/../../../../kit-escape"])
    def test_r13_no_key_leads_out_of_the_store(self, shelf: Shelf, home: Path, key: str) -> None:
        plain = Shelf(shelf.scope)
        plain.prefix = ""
        with suppress(FlowError):
            plain.put(key, b"escaped")
        outside = [folder for folder in (home, *home.parents) if (folder / "kit-escape").exists()]
        with suppress(FlowError):
            plain.delete(key)
        assert outside == []

    def test_r14_at_once_one_content_wins_and_stays_whole(self, shelf: Shelf) -> None:
        contents = [bytes([n]) * 100_000 for n in range(4)]

        def put(data: bytes) -> bytes | None:
            try:
                shelf.put("a", data)
            except ConflictError:
                return None
            return data

        with ThreadPoolExecutor(4) as pool:
            won = [data for data in pool.map(put, contents) if data is not None]
        assert won == [shelf.get("a")]

    def test_r15_a_ticket_moves_an_object_without_the_store(self, shelf: Shelf) -> None:
        if "flow_result_ticket" not in shelf.scope.supports:
            pytest.skip(f"{self.plugin_name()} has no flow_result_ticket")
        follow(shelf.ticket("a", "PUT", len(_DATA)), _DATA)
        assert shelf.get("a") == _DATA
        assert follow(shelf.ticket("a", "GET")) == _DATA

    def test_r16_a_ticket_for_a_prefix_puts_any_object_below_it(self, shelf: Shelf) -> None:
        if "flow_result_ticket" not in shelf.scope.supports:
            pytest.skip(f"{self.plugin_name()} has no flow_result_ticket")
        try:
            ticket = shelf.ticket("below/", "PUT")
        except CapabilityError:
            pytest.skip(f"{self.plugin_name()} gives no leave for a whole prefix")
        for name in ("a" * 64, "b" * 64):
            follow(ticket, name.encode(), name)
        assert shelf.listed() == [f"below/{'a' * 64}", f"below/{'b' * 64}"]
        assert shelf.get(f"below/{'b' * 64}") == b"b" * 64


def follow(ticket: Ticket, data: bytes | None = None, name: str = "") -> bytes:
    """Do what a ticket gives leave to do, with nothing but the standard library; ``name`` is below its prefix."""
    if ticket.method == "PATH":
        path = Path(ticket.url) / name
        if data is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return path.read_bytes()
    url, headers = ticket.url.replace("{key}", name), dict(ticket.headers)
    if ticket.method == "POST":
        data, kind = form({field: value.replace("{key}", name) for field, value in ticket.fields.items()}, data or b"")
        headers["Content-Type"] = kind
    request = urllib.request.Request(url, data=data, headers=headers, method=ticket.method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        body: Any = answer.read()
    return bytes(body)
