"""One scope per opened plugin: exactly that plugin answers, others only wrap, and every fault names its owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from flow_core.errors import CapabilityError, PluginError, ProviderError, TransientError
from flow_core.hookspecs import PROVIDER_SPECS, ProvisionHooks, hookimpl
from flow_core.plugins._scope import Scope
from flow_core.types import NodeAccess, Submission, TaskRef, TaskReport


class Good(ProvisionHooks):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        return TaskRef("1")

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]:
        return {}

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        return {ref: TaskReport("running") for ref in refs}

    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        return True

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        return []


def scope(plugin: object, wrappers: Mapping[str, object] | None = None) -> Scope:
    return Scope("acme", plugin, PROVIDER_SPECS, wrappers, label="provider 'acme' (flow-acme 1.2)")


def test_the_plugin_answers_its_hooks() -> None:
    assert scope(Good()).call("flow_provision_cancel", ref=TaskRef("1"), grace_seconds=1.0) is True


def test_the_implemented_hooks_are_the_capabilities() -> None:
    supports = scope(Good()).supports

    assert "flow_provision_submit" in supports
    assert "flow_provision_offers" not in supports


def test_a_hook_that_is_not_implemented_is_refused_before_the_call() -> None:
    with pytest.raises(CapabilityError, match=r"provider 'acme' \(flow-acme 1.2\).*flow_volume_list"):
        scope(Good()).call("flow_volume_list")


def test_a_misspelt_hook_is_refused_at_opening() -> None:
    class Misspelt(Good):
        @hookimpl
        def flow_provision_sumbit(self, submission: Submission) -> TaskRef:
            return TaskRef("1")

    with pytest.raises(PluginError, match=r"no hook flow_provision_sumbit \(did you mean flow_provision_submit\?\)"):
        scope(Misspelt())


def test_a_hook_without_the_marker_is_refused_at_opening() -> None:
    class Unmarked(Good):
        def flow_volume_list(self) -> Sequence[object]:
            return []

    with pytest.raises(PluginError, match="flow_volume_list is defined but not marked with @hookimpl"):
        scope(Unmarked())


def test_an_argument_the_hook_does_not_have_is_refused_at_opening() -> None:
    class WrongArgument(Good):
        @hookimpl
        def flow_provision_cancel(self, ref: TaskRef, grace: float) -> bool:  # type: ignore[override]
            return True

    with pytest.raises(PluginError, match=r"no argument 'grace' \(did you mean grace_seconds\?\)"):
        scope(WrongArgument())


def test_an_argument_with_a_default_is_refused_since_it_would_never_be_filled() -> None:
    class Default(Good):
        @hookimpl
        def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float = 3.0) -> bool:
            return True

    with pytest.raises(PluginError, match="grace_seconds a default"):
        scope(Default())


def test_an_implementation_may_leave_out_arguments() -> None:
    class Short(Good):
        @hookimpl
        def flow_provision_cancel(self, ref: TaskRef) -> bool:  # type: ignore[override]
            return False

    assert scope(Short()).call("flow_provision_cancel", ref=TaskRef("1"), grace_seconds=1.0) is False


def test_another_plugin_may_not_answer() -> None:
    with pytest.raises(PluginError, match="other may only wrap"):
        scope(Good(), {"other": Good()})


def test_wrappers_run_the_last_given_outermost() -> None:
    seen: list[str] = []

    class Wrapper:
        def __init__(self, name: str) -> None:
            self.name = name

        @hookimpl(wrapper=True)
        def flow_provision_cancel(self):  # type: ignore[no-untyped-def]
            seen.append(self.name)
            return (yield)

    scope(Good(), {"inner": Wrapper("inner"), "outer": Wrapper("outer")}).call(
        "flow_provision_cancel", ref=TaskRef("1"), grace_seconds=0.0
    )

    assert seen == ["outer", "inner"]


def test_a_foreign_exception_becomes_a_provider_error_with_its_cause() -> None:
    class Broken(Good):
        @hookimpl
        def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
            raise KeyError("id")

    with pytest.raises(ProviderError, match="flow_provision_cancel: KeyError") as caught:
        scope(Broken()).call("flow_provision_cancel", ref=TaskRef("1"), grace_seconds=0.0)

    assert (caught.value.provider, caught.value.hook) == ("acme", "flow_provision_cancel")
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_flow_error_passes_unchanged() -> None:
    class Busy(Good):
        @hookimpl
        def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
            raise TransientError("busy", retry_after=3.0)

    with pytest.raises(TransientError) as caught:
        scope(Busy()).call("flow_provision_cancel", ref=TaskRef("1"), grace_seconds=0.0)

    assert caught.value.retry_after == 3.0


def test_opening_evaluates_no_property_of_the_plugin() -> None:
    class Lazy(Good):
        @property
        def connection(self) -> object:
            raise AssertionError("evaluated")

    assert scope(Lazy()).supports


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_names_hook_and_plugin_and_no_argument(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    monkeypatch.setenv("FLOW_LOG", form)
    scope(Good()).call("flow_provision_cancel", ref=TaskRef("hunter2"), grace_seconds=1.0)

    line = capsys.readouterr().err
    assert "flow_provision_cancel" in line
    assert "flow-acme 1.2" in line
    assert "hunter2" not in line
