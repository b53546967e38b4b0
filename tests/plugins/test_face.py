"""The typed face of a provider: capabilities first, answers checked, calls bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest

from flow_core.errors import CapabilityError, PluginError, ProviderError, TransientError
from flow_core.faces import Provider, _provider
from flow_core.hookspecs import PROVIDER_SPECS, LogHooks, ProvisionHooks, hookimpl
from flow_core.plugins._scope import Scope
from flow_core.types import LogChunk, LogCursor, ProviderFacts, Submission, TaskRef, TaskReport


class Fake(ProvisionHooks, LogHooks):
    """A provider without a machine, to see what the face makes of its answers."""

    def __init__(self, answer: object = None, prompt: bool = True) -> None:
        self.answer, self.prompt = answer, prompt
        self.release = threading.Event()
        self.closed = False

    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        return ProviderFacts(prompt=self.prompt)

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        return self.answer  # type: ignore[return-value]

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]:
        return self.answer  # type: ignore[return-value]

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        self.release.wait(10)
        return {}

    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        return self.answer  # type: ignore[return-value]

    @hookimpl
    def flow_logs_read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        try:
            yield LogChunk(1, 0, "both", 0, b"one")
            raise RuntimeError("torn")
        finally:
            self.closed = True


def face(provider: Fake) -> Provider:
    return Provider(Scope("fake", provider, PROVIDER_SPECS), "fake", "fake")


@pytest.mark.parametrize("answer", [None, "1", 1])
def test_a_submit_that_returns_no_reference_is_the_plugins_fault(answer: object) -> None:
    with pytest.raises(PluginError, match="flow_provision_submit returned"):
        face(Fake(answer)).submit(None)  # type: ignore[arg-type]


def test_a_cancel_that_returns_nothing_is_the_plugins_fault() -> None:
    with pytest.raises(PluginError, match="flow_provision_cancel returned NoneType, not bool"):
        face(Fake()).cancel(TaskRef("1"), 0.0)


def test_find_drops_ids_with_no_reference() -> None:
    assert face(Fake({"a": [TaskRef("1")], "b": []})).find(["a", "b"], 0.0) == {"a": [TaskRef("1")]}


def test_find_refuses_references_that_are_text() -> None:
    with pytest.raises(PluginError, match="flow_provision_find returned"):
        face(Fake({"a": "1"})).find(["a"], 0.0)


def test_what_the_provider_cannot_do_is_refused() -> None:
    with pytest.raises(CapabilityError, match="flow_volume_list"):
        face(Fake()).volumes()


def test_a_stream_that_breaks_names_the_hook_and_is_closed() -> None:
    provider = Fake()
    stream = face(provider).logs(TaskRef("1"), LogCursor(), True)

    assert next(stream).data == b"one"
    with pytest.raises(ProviderError, match="flow_logs_read: RuntimeError: torn"):
        next(stream)
    assert provider.closed


def test_closing_a_stream_closes_the_providers_iterator() -> None:
    provider = Fake()
    stream = face(provider).logs(TaskRef("1"), LogCursor(), True)
    next(stream)

    stream.close()  # type: ignore[attr-defined]

    assert provider.closed


def test_a_hook_that_does_not_answer_in_time_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_provider._BOUNDS, "flow_provision_status", 0.05)
    provider = Fake(prompt=False)

    with pytest.raises(TransientError, match="flow_provision_status"):
        face(provider).status([TaskRef("1")])
    provider.release.set()


def test_a_prompt_provider_is_called_in_the_callers_thread() -> None:
    seen: list[threading.Thread] = []

    class Where(Fake):
        @hookimpl
        def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
            seen.append(threading.current_thread())
            return True

    face(Where(prompt=True)).cancel(TaskRef("1"), 0.0)

    assert seen == [threading.current_thread()]
