"""Retries, time bounds and pauses."""

from __future__ import annotations

import contextvars
import threading

import pytest

from flow_core.errors import TransientError, UnavailableError
from flow_core.waiting import Backoff, bounded, pause, retry


class _Flaky:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_backoff_grows_to_its_maximum_and_begins_again_after_a_change():
    backoff = Backoff(2.0, 6.0)
    assert [backoff.next() for _ in range(5)] == [2.0, 3.0, 4.5, 6.0, 6.0]
    backoff.reset()
    assert backoff.next() == 2.0


def test_backoff_never_waits_less_than_its_first_pause():
    assert Backoff(60.0, 30.0).next() == 60.0


def test_a_pause_that_is_over_already_returns_at_once():
    assert pause(-1.0) is None


def test_retry_tries_three_times_and_doubles_the_pause():
    flaky, slept = _Flaky(TransientError("a"), TransientError("b")), []
    assert retry(flaky, sleep=slept.append) == "done"
    assert slept == [1.0, 2.0]


def test_retry_raises_the_error_of_the_last_try():
    flaky = _Flaky(TransientError("a"), TransientError("b"), TransientError("c"))
    with pytest.raises(TransientError, match="c"):
        retry(flaky, sleep=lambda _: None)
    assert flaky.calls == 3


def test_retry_passes_other_errors_on_at_once():
    flaky = _Flaky(UnavailableError("no capacity"))
    with pytest.raises(UnavailableError):
        retry(flaky, sleep=lambda _: pytest.fail("slept"))
    assert flaky.calls == 1


def test_retry_waits_as_long_as_the_other_side_asks():
    slept: list[float] = []
    retry(_Flaky(TransientError("busy", retry_after=7.0)), sleep=slept.append)
    assert slept == [7.0]


def test_retry_gives_up_when_the_other_side_asks_for_more_than_the_maximum():
    flaky = _Flaky(TransientError("busy", retry_after=3600.0))
    with pytest.raises(TransientError, match="busy"):
        retry(flaky, maximum=60.0, sleep=lambda _: pytest.fail("slept"))


def test_bounded_returns_the_answer_and_carries_context_variables():
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("mine")
    assert bounded(variable.get, 5.0, "asking") == "mine"


def test_bounded_raises_what_the_call_raises():
    with pytest.raises(ZeroDivisionError):
        bounded(lambda: 1 // 0, 5.0, "dividing")


def test_a_late_call_is_a_transient_error_and_finishes_in_its_thread():
    release, finished = threading.Event(), threading.Event()

    def late() -> None:
        release.wait(5)
        finished.set()
        raise RuntimeError("nobody hears this")

    with pytest.raises(TransientError, match=r"the far end has not answered within 0\.01 s"):
        bounded(late, 0.01, "the far end")
    assert not finished.is_set()
    release.set()
    assert finished.wait(5)
