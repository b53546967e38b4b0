"""A provider that accepts a task and answers nonsense is told so, though its task is found and kept."""

from __future__ import annotations

import pytest

from flow_core import Flow
from flow_core.faces import Provider


def test_a_wrong_answer_to_submit_is_told_and_the_task_is_kept(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    provider: Provider = flow.provider("local")
    call = provider._scope.call

    def none_from_submit(hook: str, **arguments: object) -> object:
        answer = call(hook, **arguments)
        return None if hook == "flow_provision_submit" else answer

    monkeypatch.setattr(provider._scope, "call", none_from_submit)

    with pytest.warns(
        UserWarning, match=r"flow_provision_submit returned NoneType, not TaskRef; the task was accepted"
    ):
        task = flow.submit("exit 3")

    assert task.wait() == 3
