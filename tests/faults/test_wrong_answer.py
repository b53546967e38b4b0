"""A provider that accepts a task and answers nonsense is told so, though its task is found and kept."""

from __future__ import annotations

import time
from typing import NoReturn

import pytest

from flow_core import Flow, TransientError
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


def test_a_submission_that_was_not_answered_says_why_and_not_that_somebody_was_killed(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider: Provider = flow.provider("local")

    def silent(*_: object) -> NoReturn:
        raise TransientError("nobody answers", retry_after=0.01)

    with monkeypatch.context() as patch:
        patch.setattr(provider, "submit", silent)
        patch.setattr(provider, "find", silent)
        with pytest.raises(TransientError):
            flow.submit("true")
    deadline = time.monotonic() + 60
    while not (task := flow.tasks()[0]).row.is_final:
        assert time.monotonic() < deadline
        flow.refresh()
        time.sleep(0.1)
    assert task.row.reason == "never submitted: nobody answers"


def test_who_waits_in_vain_is_told_that_the_provider_cannot_say(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    task = flow.submit("sleep 30")
    provider: Provider = flow.provider("local")
    call = provider._scope.call

    def none_from_status(hook: str, **arguments: object) -> object:
        return None if hook == "flow_provision_status" else call(hook, **arguments)

    with monkeypatch.context() as patch:
        patch.setattr(provider._scope, "call", none_from_status)
        with pytest.raises(TimeoutError, match=r"local cannot be asked: .*flow_provision_status returned NoneType"):
            task.wait(timeout=1.0)
    task.cancel(0.0)
