"""Signals as an exception between two steps."""

from __future__ import annotations

import io
import os
import signal
import threading

import pytest

from flow_core.cli._attached import choice
from flow_core.cli._interrupts import Interrupted, Interrupts


def _send(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_raised_at_once(number: int) -> None:
    with Interrupts(), pytest.raises(Interrupted) as caught:
        _send(number)
    assert caught.value.number == number


def test_a_signal_waits_for_the_end_of_what_holds_it_back() -> None:
    done: list[str] = []

    def work() -> None:
        with interrupts.held():
            _send()
            done.append("step")
        done.append("next")

    with Interrupts() as interrupts, pytest.raises(Interrupted):
        work()
    assert done == ["step"]


def test_a_second_signal_does_not_wait() -> None:
    done: list[str] = []

    def work() -> None:
        with interrupts.held():
            _send()
            done.append("first")
            _send()
            done.append("second")

    with Interrupts() as interrupts, pytest.raises(Interrupted):
        work()
    assert done == ["first"]


def test_what_the_step_itself_raises_comes_first() -> None:
    def work() -> None:
        with interrupts.held():
            _send()
            raise ValueError("mine")

    def nothing() -> None:
        with interrupts.held():
            pass

    with Interrupts() as interrupts:
        with pytest.raises(ValueError, match="mine"):
            work()
        with pytest.raises(Interrupted):
            nothing()


def test_the_former_handlers_are_back_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_further_signal_is_waited_for() -> None:
    with Interrupts() as interrupts:
        timer = threading.Timer(0.1, _send)
        timer.start()
        assert interrupts.another(10.0)
        timer.join()
        assert not interrupts.another(0.01)


def test_outside_the_main_thread_nothing_is_installed() -> None:
    seen = []

    def work() -> None:
        with Interrupts() as interrupts, interrupts.held():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_ctrl_c_while_the_question_is_being_written_is_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shown(io.StringIO):
        def flush(self) -> None:
            raise Interrupted(signal.SIGINT)

    monkeypatch.setattr("sys.stderr", Shown())
    assert choice("detach? ") == "c"
