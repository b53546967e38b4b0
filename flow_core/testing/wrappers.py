"""Host plugins: wrappers, policy, events, credentials, checks (``docs/behaviour/wrappers.md``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from flow_core.errors import NotFoundError
from flow_core.plugins import Plugin
from flow_core.plugins._scope import Scope
from flow_core.secrets import Secret
from flow_core.testing._bench import Bench
from flow_core.testing._opened import open_scope
from flow_core.testing._plain import SPECS, PlainProvider
from flow_core.testing.load import LoadContract
from flow_core.types import (
    Bundle,
    CredentialRequest,
    DoctorCheck,
    Event,
    LogCursor,
    OfferRequest,
    PolicyContext,
    Refusal,
    SecretBox,
    Submission,
    TaskConfig,
    TaskRef,
    new_request_id,
    new_task_id,
)

EVENTS = ("task.submitted", "task.state", "task.attempt", "task.released", "volume.created", "no.such.kind")


class WrapperContract(LoadContract):
    """Scenarios W01 to W10, and those of loading. ``host_plugin`` names the plugin, or is its class.

    ``task`` is a config that the plugin's policy lets pass as it is.
    """

    kind: ClassVar[str] = "host plugin"
    claims: ClassVar[frozenset[str]] = frozenset(
        {"flow_event", "flow_scope_wrappers", "flow_credential", "flow_doctor_checks", "flow_task_config"}
    )
    task: ClassVar[TaskConfig] = TaskConfig(command="true", time_limit=60.0)

    @pytest.fixture
    def scope(self, bench: Bench, plugin: Plugin, profile: Mapping[str, object]) -> Scope:  # noqa: ARG002
        """The opened host plugin."""
        return open_scope(plugin, profile)

    @pytest.fixture
    def wrapped(self, scope: Scope) -> tuple[PlainProvider, Scope]:
        """A provider with the plugin's wrappers around it."""
        self._need(scope, "flow_scope_wrappers")
        (offered,) = scope.call("flow_scope_wrappers", provider="plain", profile="plain")
        wrappers = {f"w{number}": wrapper for number, wrapper in enumerate(offered)}
        inner = PlainProvider()
        return inner, Scope("plain", inner, SPECS, wrappers)

    def _need(self, scope: Scope, hook: str) -> None:
        if hook not in scope.supports:
            pytest.skip(f"{self.plugin_name()} has no {hook}")

    def _order(self, value: str = "hidden") -> Submission:
        bundle = Bundle({}, secrets=SecretBox({"TOKEN": value}))
        return Submission(new_request_id(), new_task_id(), "plain", "plain", self.task, bundle)

    def _calls(self) -> dict[str, dict[str, Any]]:
        ref = TaskRef("one")
        return {
            "flow_provider_facts": {},
            "flow_auth_check": {},
            "flow_provision_check": {"config": self.task},
            "flow_provision_offers": {"request": OfferRequest()},
            "flow_provision_submit": {"submission": self._order()},
            "flow_provision_find": {"request_ids": ["a"], "since": 0.0},
            "flow_provision_status": {"refs": [ref]},
            "flow_provision_cancel": {"ref": ref, "grace_seconds": 0.0},
            "flow_volume_list": {},
        }

    def test_w01_answers_pass_unchanged(self, wrapped: tuple[PlainProvider, Scope]) -> None:
        bare = Scope("plain", PlainProvider(), SPECS)
        for hook, arguments in self._calls().items():
            assert wrapped[1].call(hook, **arguments) == bare.call(hook, **arguments), hook

    def test_w02_each_call_reaches_the_provider_once(self, wrapped: tuple[PlainProvider, Scope]) -> None:
        inner, scope = wrapped
        for hook, arguments in self._calls().items():
            scope.call(hook, **arguments)
        assert inner.calls == list(self._calls())

    def test_w03_an_error_passes_as_it_is(self, wrapped: tuple[PlainProvider, Scope]) -> None:
        with pytest.raises(NotFoundError, match="there is no task nobody"):
            wrapped[1].call("flow_provision_cancel", ref=TaskRef("nobody"), grace_seconds=0.0)

    def test_w04_a_stream_passes_byte_for_byte(self, wrapped: tuple[PlainProvider, Scope]) -> None:
        chunks = wrapped[1].call("flow_logs_read", ref=TaskRef("one"), cursor=LogCursor(), follow=False)
        assert b"".join(chunk.data for chunk in chunks) == b"one\n\xff\x00"

    def test_w05_wrappers_for_two_profiles_do_not_meet(self, scope: Scope) -> None:
        self._need(scope, "flow_scope_wrappers")
        (one,), (two,) = (
            scope.call("flow_scope_wrappers", provider="plain", profile=profile) for profile in ("one", "two")
        )
        assert len(one) == len(two)
        assert not {id(wrapper) for wrapper in one} & {id(wrapper) for wrapper in two}

    def test_w06_a_policy_answers_and_answers_the_same_again(self, scope: Scope) -> None:
        self._need(scope, "flow_task_config")
        context = PolicyContext("plain", "plain", "0.01", "somebody")
        first, second = (scope.call("flow_task_config", config=self.task, context=context) for _ in range(2))
        assert first == second
        assert all(isinstance(answer, (TaskConfig, Refusal)) for answer in first)
        assert not [answer.reason for answer in first if isinstance(answer, Refusal)], "it refuses its own `task`"

    def test_w07_a_refusal_has_a_reason(self, scope: Scope) -> None:
        self._need(scope, "flow_task_config")
        context = PolicyContext("plain", "plain", "1000000", "somebody")
        for answer in scope.call("flow_task_config", config=self.task, context=context):
            assert not isinstance(answer, Refusal) or answer.reason

    def test_w08_any_event_may_come(self, scope: Scope) -> None:
        self._need(scope, "flow_event")
        for kind in EVENTS:
            scope.call("flow_event", event=Event(kind, 1.0, new_task_id(), 1, 0, {"state": "running"}))
            scope.call("flow_event", event=Event(kind, 1.0))

    def test_w09_what_it_does_not_know_it_passes(self, scope: Scope) -> None:
        for hook in ("flow_credential", "flow_doctor_checks"):
            if hook == "flow_credential" and hook in scope.supports:
                request = CredentialRequest("plain", "plain", "no_such_field")
                assert isinstance(scope.call(hook, request=request), (Secret, type(None)))
            elif hook in scope.supports:
                assert all(isinstance(check, DoctorCheck) for answer in scope.call(hook) for check in answer)

    def test_w10_no_secret_is_written_down(self, bench: Bench, wrapped: tuple[PlainProvider, Scope]) -> None:
        value = "kit-" + new_request_id()
        wrapped[1].call("flow_provision_submit", submission=self._order(value))
        assert bench.holders([value.encode()]) == []
