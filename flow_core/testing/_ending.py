"""P20-P29: how a task ended is never lost or changed."""

from __future__ import annotations

import time

import pytest

from flow_core.client import exit_status
from flow_core.testing._bench import Bench
from flow_core.testing._contract import Contract

RESERVED = (1, 2, 64, 70, 75, 77, 125, 126, 127, 128, 137, 143, 255)


class Ending(Contract):
    """Exit codes, signals, time limits, attempts."""

    def test_p20_success_is_exit_code_0_of_one_attempt_on_one_node(self, bench: Bench) -> None:
        began = time.time()
        task = bench.run("true")
        (attempt,) = task.attempts
        assert (task.status, task.exit_code, exit_status(task.row)) == ("succeeded", 0, 0)
        assert (attempt.number, attempt.state, attempt.exit_code) == (1, "succeeded", 0)
        assert [(n.rank, n.exit_code) for n in attempt.nodes] == [(0, 0)]
        assert attempt.started_at is not None
        assert attempt.ended_at is not None
        assert began - 60 <= attempt.started_at <= attempt.ended_at <= time.time() + 60

    @pytest.mark.parametrize("code", RESERVED)
    def test_p21_an_exit_code_arrives_as_it_is(self, bench: Bench, code: int) -> None:
        task = bench.run(f"exit {code}")
        assert (task.status, task.exit_code) == ("failed", code)
        assert task.attempts[-1].exit_code == code
        assert task.reason
        assert "\n" not in task.reason

    @pytest.mark.parametrize(("name", "number"), [("KILL", 9), ("TERM", 15), ("SEGV", 11), ("INT", 2)])
    def test_p22_a_signal_is_a_failure_of_128_and_its_number(self, bench: Bench, name: str, number: int) -> None:
        task = bench.run(f"kill -{name} $$; sleep 5")
        assert (task.status, task.exit_code) == ("failed", 128 + number)
        assert task.attempts[-1].signal in (None, number)

    def test_p23_a_command_that_is_not_there_fails_with_127(self, bench: Bench) -> None:
        task = bench.run(["/no/such/program", "x"])
        assert (task.status, task.exit_code) == ("failed", 127)

    def test_p24_a_time_limit_ends_the_whole_tree(self, bench: Bench) -> None:
        began = time.monotonic()
        task = bench.run("sleep 61 & trap '' TERM; echo up; while :; do sleep 62; done", time_limit=1.0, grace=1.0)
        assert task.status == "timed_out"
        assert exit_status(task.row) == 124
        assert time.monotonic() - began < 1 + 1 + self.patience / 2
        assert bench.output(task) == b"up\n"

    def test_p25_a_failed_attempt_is_retried_and_both_are_kept(self, bench: Bench) -> None:
        task = bench.run('echo "try $FLOW_ATTEMPT"; test "$FLOW_ATTEMPT" = 2', retries=3)
        assert (task.status, task.exit_code) == ("succeeded", 0)
        assert [(a.number, a.state, a.exit_code) for a in task.attempts] == [(1, "failed", 1), (2, "succeeded", 0)]
        assert bench.output(task, attempt=1) == b"try 1\n"
        assert bench.output(task, attempt=2) == b"try 2\n"

    def test_p26_without_retries_a_failure_is_final(self, bench: Bench) -> None:
        task = bench.run("echo ran; exit 1", retries=0)
        assert len(task.attempts) == 1
        assert bench.output(task) == b"ran\n"

    def test_p27_a_task_waits_for_the_one_it_depends_on(self, bench: Bench) -> None:
        self.need_fact(bench, "dependencies")
        first = bench.submit("sleep 1; echo first")
        second = bench.run("echo second", depends_on=[first.id])
        assert first.status == "succeeded"
        assert second.status == "succeeded"
        assert (second.row.started_at or 0) >= (first.row.ended_at or 0)

    def test_p28_a_task_whose_dependency_failed_never_runs(self, bench: Bench) -> None:
        self.need_fact(bench, "dependencies")
        first = bench.run("exit 1")
        second = bench.run("echo second", depends_on=[first.id])
        assert second.status in ("failed", "cancelled")
        assert second.reason
        assert bench.output(second) == b""

    def test_p29_a_short_task_reports_its_end_at_once(self, bench: Bench) -> None:
        began = time.monotonic()
        bench.run("true")
        assert time.monotonic() - began < self.patience / 2
