"""P30-P39: a cancel ends a task, once, and says truly whether it will."""

from __future__ import annotations

import time

import pytest

from flow_core.errors import NotFoundError
from flow_core.testing._bench import Bench
from flow_core.testing._contract import Contract
from flow_core.testing._ground import processes
from flow_core.types import TaskRef, new_request_id


class Cancelling(Contract):
    """Cancel of pending, running, ended tasks and of none."""

    def test_p30_a_running_task_is_cancelled(self, bench: Bench) -> None:
        task = bench.started(bench.submit("echo up; sleep 60; echo never"))
        assert task.cancel(1.0) is True
        assert bench.end(task).status == "cancelled"
        assert bench.output(task) == b"up\n"

    def test_p31_cancel_returns_at_once(self, bench: Bench) -> None:
        task = bench.started(bench.submit("trap '' TERM; echo up; while :; do sleep 1; done"))
        began = time.monotonic()
        task.cancel(4.0)
        took = time.monotonic() - began
        task.cancel(0.0)
        bench.end(task)
        assert took < 3.0

    def test_p32_the_stop_signal_comes_first_and_leaves_time_to_tidy_up(self, bench: Bench) -> None:
        task = bench.started(bench.submit("trap 'echo tidy; exit 0' TERM; echo up; while :; do sleep 0.05; done"))
        task.cancel(20.0)
        began = time.monotonic()
        assert bench.end(task).status == "cancelled"
        assert bench.output(task) == b"up\ntidy\n"
        assert time.monotonic() - began < 15.0

    def test_p33_force_comes_after_the_grace(self, bench: Bench) -> None:
        task = bench.started(bench.submit("trap '' TERM; echo up; while :; do sleep 0.1; done"))
        began = time.monotonic()
        task.cancel(1.0)
        assert bench.end(task).status == "cancelled"
        assert 0.9 <= time.monotonic() - began < 1.0 + self.patience / 2

    def test_p34_a_cancel_ends_the_whole_tree(self, bench: Bench) -> None:
        self.need_sight(bench)
        mark = new_request_id()
        tree = "setsid sleep 61 & (sleep 62 & sleep 63) & echo up; sleep 64"
        task = bench.started(bench.submit(tree, env={"KIT_MARK": mark}))
        task.cancel(1.0)
        bench.end(task)
        bench.until(lambda: not processes(mark), "processes of a cancelled task live on", seconds=5.0)

    def test_p35_an_ended_task_is_not_cancelled(self, bench: Bench) -> None:
        ref = bench.provider.submit(bench.order("exit 3"))
        before = bench.ended(ref)
        assert bench.provider.cancel(ref, 0.0) is False
        after = bench.report(ref)
        assert (after.state, after.attempts) == (before.state, before.attempts)

    def test_p36_what_never_was_cannot_be_cancelled(self, bench: Bench) -> None:
        with pytest.raises(NotFoundError):
            bench.provider.cancel(TaskRef(new_request_id()), 0.0)

    def test_p37_a_second_cancel_is_harmless(self, bench: Bench) -> None:
        ref = bench.provider.submit(bench.order("sleep 60"))
        assert bench.provider.cancel(ref, 1.0) is True
        assert isinstance(bench.provider.cancel(ref, 1.0), bool)
        assert bench.ended(ref).state == "cancelled"
        assert bench.provider.cancel(ref, 1.0) is False

    def test_p38_a_task_that_waits_is_cancelled_without_having_run(self, bench: Bench) -> None:
        self.need_fact(bench, "dependencies")
        first = bench.submit("sleep 60")
        second = bench.submit("echo ran", depends_on=[first.id])
        assert second.cancel(0.0) is True
        assert bench.end(second).status == "cancelled"
        assert bench.output(second) == b""
        first.cancel(0.0)
        bench.end(first)

    def test_p39_a_cancel_from_a_new_client_right_after_the_submit_holds(self, bench: Bench) -> None:
        task = bench.submit("sleep 60; echo never")
        other = bench.client().task(task.id)
        assert other.cancel(0.0) is True
        assert bench.end(other).status == "cancelled"
        assert bench.output(task) == b""
