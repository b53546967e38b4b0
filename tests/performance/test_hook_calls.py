"""How often a provider is called: what a cloud charges in requests, a task must not waste."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from flow_core.client import Flow
from flow_core.plugins._scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return how often each hook was called since the last ``clear``."""
    counted: Counter[str] = Counter()
    call: Callable[..., Any] = Scope.call

    def counting(scope: Scope, hook: str, **arguments: Any) -> Any:
        counted[hook] += 1
        return call(scope, hook, **arguments)

    monkeypatch.setattr(Scope, "call", counting)
    return counted


@pytest.mark.usefixtures("home")
def test_a_submission_asks_for_the_facts_once_checks_once_and_submits_once(calls: Counter[str]) -> None:
    flow = Flow()
    flow.submit("true").wait()
    calls.clear()
    flow.submit("true")
    assert calls == {"flow_provision_check": 1, "flow_provision_submit": 1}


@pytest.mark.usefixtures("home")
def test_waiting_asks_where_the_node_is_once_and_how_it_ended_once(calls: Counter[str]) -> None:
    flow = Flow()
    task = flow.submit("sleep 0.2")
    calls.clear()
    task.wait()
    assert calls == {"flow_node_access": 1, "flow_provision_status": 1}


@pytest.mark.usefixtures("home")
def test_the_state_of_many_tasks_is_one_call(calls: Counter[str]) -> None:
    flow = Flow()
    tasks = [flow.submit("true") for _ in range(10)]
    calls.clear()
    flow.refresh([task.id for task in tasks])
    assert calls == {"flow_provision_status": 1}
