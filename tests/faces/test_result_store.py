"""The face of a result store: answers are checked, streams are guarded, a source's fault is not the store's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from flow_core.errors import CapabilityError, NotFoundError, PluginError, ProviderError, StateError
from flow_core.faces import ResultStore
from flow_core.hookspecs import SPECS, ResultHooks, hookimpl
from flow_core.plugins._scope import Scope
from flow_core.types import ResultInfo


class Memory(ResultHooks):
    """A store in a dictionary; ``answer`` stands in for what its stat says."""

    def __init__(self, answer: object = None) -> None:
        self.kept: dict[str, bytes] = {}
        self.answer = answer
        self.closed = False

    @hookimpl
    def flow_result_stat(self, key: str) -> ResultInfo:
        return self.answer  # type: ignore[return-value]

    @hookimpl
    def flow_result_list(self, prefix: str) -> Iterator[ResultInfo]:
        return iter([ResultInfo(key, len(data)) for key, data in self.kept.items() if key.startswith(prefix)])

    @hookimpl
    def flow_result_get(self, key: str, offset: int) -> Iterator[bytes]:
        try:
            yield self.kept[key][offset:]
            raise OSError("torn")
        finally:
            self.closed = True

    @hookimpl
    def flow_result_put(self, key: str, data: Iterator[bytes], sha256: str) -> ResultInfo:
        self.kept[key] = b"".join(data)
        return ResultInfo(key, len(self.kept[key]), sha256)

    @hookimpl
    def flow_result_delete(self, key: str) -> bool:
        return self.kept.pop(key, None) is not None


def face(store: Memory) -> ResultStore:
    return ResultStore(Scope("memory", store, SPECS["result store"]))


def test_what_is_put_is_listed_read_and_deleted() -> None:
    store = face(Memory())

    assert store.put("a/b", [b"one", b"two"], "sum") == ResultInfo("a/b", 6, "sum")
    assert [info.key for info in store.list("a/")] == ["a/b"]
    assert next(store.get("a/b", 3)) == b"two"
    assert store.delete("a/b") is True
    assert list(store.list()) == []


def test_a_stream_that_breaks_is_the_plugins_fault_and_is_closed() -> None:
    plugin = Memory()
    plugin.kept["a"] = b"data"
    stream = face(plugin).get("a")

    assert next(stream) == b"data"
    with pytest.raises(ProviderError, match="flow_result_get: OSError: torn"):
        next(stream)
    assert plugin.closed


def test_a_source_that_breaks_is_not_the_stores_fault() -> None:
    def source() -> Iterator[bytes]:
        yield b"half"
        raise OSError("disk is gone")

    with pytest.raises(StateError, match="a cannot be read: disk is gone"):
        face(Memory()).put("a", source(), "sum")


def test_an_answer_of_the_wrong_type_is_the_plugins_fault() -> None:
    with pytest.raises(PluginError, match="flow_result_stat returned dict, not ResultInfo"):
        face(Memory({})).stat("a")


def test_a_store_without_tickets_says_so_before_it_is_called() -> None:
    with pytest.raises(CapabilityError, match="flow_result_ticket"):
        face(Memory()).ticket("a", "PUT")


MODULE = """
from pathlib import Path
import attrs
from flow_core import ResultInfo, hookimpl
from flow_core.hookspecs import ResultHooks

@attrs.frozen
class Shelf:
    root: Path = attrs.field(metadata={"help": "Folder."})

class Store(ResultHooks):
    Settings = Shelf
    def __init__(self, settings): self.root = settings.root
    @hookimpl
    def flow_result_stat(self, key): return ResultInfo(f"{self.root}/{key}", 0)
    @hookimpl
    def flow_result_list(self, prefix): return iter(())
    @hookimpl
    def flow_result_get(self, key): return iter(())
    @hookimpl
    def flow_result_put(self, key): return ResultInfo(key, 0)
"""
DELETE = "    @hookimpl\n    def flow_result_delete(self, key): return False\n"


def install(site: Path, module: str, text: str) -> None:
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[flow.result_stores]\n{module} = {module}:Store\n")
    (site / f"{module}.py").write_text(text)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_a_store_of_the_settings_is_opened_with_its_own_settings(home: Path) -> None:
    from flow_core import Flow

    install(home.parent / "site", "store_one", MODULE + DELETE)
    (home / "config.yaml").write_text("result_stores:\n  team: {store: store_one, root: /shelf}\n")

    assert Flow().result_store("team").stat("key").key == "/shelf/key"


def test_a_store_that_the_settings_do_not_name_is_not_found(home: Path) -> None:
    from flow_core import Flow

    with pytest.raises(NotFoundError, match="no result store 'team'"):
        Flow().result_store("team")


def test_a_store_that_lacks_a_required_hook_is_refused_when_it_is_opened(home: Path) -> None:
    from flow_core import Flow

    install(home.parent / "site", "store_two", MODULE)
    (home / "config.yaml").write_text("result_stores:\n  team: {store: store_two, root: /shelf}\n")

    with pytest.raises(PluginError, match=r"'store_two' \(store-two 1.0\) lacks the required flow_result_delete"):
        Flow().result_store("team")


def test_only_fields_that_name_a_variable_are_read_from_the_environment() -> None:
    @attrs.frozen
    class Settings:
        seconds: float = attrs.field(default=1.0, metadata={"help": "Patience.", "env": "ACME_SECONDS"})
        token: str = attrs.field(default="", metadata={"help": "Token.", "env": "ACME_TOKEN", "secret": True})
        other: str = ""

    from flow_core.settings import Origin, Profile, build

    environ = {"ACME_SECONDS": "2.5", "ACME_TOKEN": "hidden", "OTHER": "x"}
    written = Profile("p", "acme", {"seconds": 3}, origins={"seconds": Origin("user")}, environ=environ)
    built = build(Settings, Profile("p", "acme", environ=environ))

    assert (built.seconds, built.other) == (2.5, "")
    assert "hidden" not in repr(built)
    assert build(Settings, written).seconds == 3
