"""P01-P19: a submission is accepted once, is found again, and is reported on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from flow_core.errors import ConfigError, FlowError, NotFoundError
from flow_core.testing._bench import Bench
from flow_core.testing._contract import Contract
from flow_core.types import ProviderFacts, TaskRef, new_request_id

ONCE = "echo ran"
STRANGE = ("nobody-knows-this", "..", "../..", ".", "a b", "ü", "x" * 300, "-rf", "*", "%2e%2e", "\n", "0")


class Submitting(Contract):
    """Idempotent submit, find and status."""

    def test_p01_facts_are_the_same_each_time_and_consistent(self, bench: Bench) -> None:
        self.need(bench, "flow_provider_facts")
        again = bench.client().provider()
        facts = bench.provider.facts
        assert facts == again.facts
        assert isinstance(facts, ProviderFacts)
        assert facts.log_bytes in ("exact", "lines")
        assert facts.settle_seconds >= 0
        assert facts.min_poll_seconds >= 0
        assert facts.max_nodes is None or facts.max_nodes >= (2 if facts.multi_node else 1)

    def test_p02_submit_returns_before_the_task_ends(self, bench: Bench) -> None:
        task = bench.submit(f"sleep {self.patience / 2}")
        state = task.status
        task.cancel(0)
        assert state in ("pending", "provisioning", "running")
        bench.end(task)

    def test_p03_the_same_request_twice_is_one_task(self, bench: Bench) -> None:
        order = bench.order(ONCE)
        first, second = bench.provider.submit(order), bench.provider.submit(order)
        assert first == second
        found = bench.provider.find([order.request_id], 0.0)
        assert found == {order.request_id: [first]}, f"submit gave {first}, but find says {found or 'there is none'}"
        bench.ended(first)
        assert bench.log_of(first) == b"ran\n"

    def test_p04_the_same_request_after_the_end_starts_nothing(self, bench: Bench) -> None:
        order = bench.order(ONCE)
        ref = bench.provider.submit(order)
        before = bench.ended(ref)
        assert bench.provider.submit(order) == ref
        assert bench.report(ref).attempts == before.attempts
        assert bench.log_of(ref) == b"ran\n"

    def test_p05_the_same_request_from_threads_at_once_is_one_task(self, bench: Bench) -> None:
        order = bench.order(ONCE)
        faces = [bench.client().provider() for _ in range(6)]
        with ThreadPoolExecutor(len(faces)) as pool:
            refs = set(pool.map(lambda face: face.submit(order), faces))
        assert len(refs) == 1
        assert bench.provider.find([order.request_id], 0.0) == {order.request_id: list(refs)}
        bench.ended(next(iter(refs)))
        assert bench.log_of(next(iter(refs))) == b"ran\n"

    def test_p06_the_same_request_from_processes_at_once_is_one_task(self, bench: Bench) -> None:
        request_id, go = new_request_id(), bench.home / "go"
        children = [bench.spawn("send", request_id=request_id, command=ONCE, go=str(go)) for _ in range(3)]
        go.touch()
        refs = {bench.answer(child) for child in children}
        assert len(refs) == 1
        ref = TaskRef(refs.pop())
        assert bench.provider.find([request_id], 0.0) == {request_id: [ref]}
        bench.ended(ref)
        assert bench.log_of(ref) == b"ran\n"

    def test_p07_a_client_killed_after_the_yes_leaves_exactly_one_task(self, bench: Bench) -> None:
        bench.child("die_after_yes", command=ONCE)
        bench.until(lambda: bench.flow.refresh() or bench.flow.tasks()[0].row.ref, "nobody finds the accepted task")
        tasks = bench.flow.tasks()
        assert len(tasks) == 1
        assert bench.end(tasks[0]).status == "succeeded"
        assert bench.output(tasks[0]) == b"ran\n"

    def test_p08_a_client_killed_before_the_call_leaves_no_task(self, bench: Bench) -> None:
        bench.child("die_before_call", command=ONCE, ago=bench.provider.facts.settle_seconds)
        bench.until(lambda: bench.flow.refresh() or bench.flow.tasks()[0].is_final, "the intent is never given up")
        task = bench.flow.tasks()[0]
        assert (task.status, task.row.ref) == ("cancelled", None)

    def test_p09_find_leaves_out_what_was_never_submitted(self, bench: Bench) -> None:
        known, unknown = bench.order(ONCE), new_request_id()
        ref = bench.provider.submit(known)
        assert bench.provider.find([], 0.0) == {}
        assert bench.provider.find([unknown], 0.0) == {}
        assert bench.provider.find([unknown, known.request_id], 0.0) == {known.request_id: [ref]}
        bench.ended(ref)

    def test_p10_a_new_process_finds_running_and_ended_tasks(self, bench: Bench) -> None:
        running, ended = bench.order("sleep 60"), bench.order("true")
        refs = {order.request_id: bench.provider.submit(order) for order in (running, ended)}
        bench.ended(refs[ended.request_id])
        found = bench.child("find", request_ids=[running.request_id, ended.request_id])
        bench.provider.cancel(refs[running.request_id], 0.0)
        assert found == {name: [ref.id] for name, ref in refs.items()}
        bench.ended(refs[running.request_id])

    def test_p11_find_honours_since_and_still_finds_what_came_after_it(self, bench: Bench) -> None:
        order = bench.order(ONCE)
        began = time.time() - 1
        ref = bench.provider.submit(order)
        assert bench.provider.find([order.request_id], began) == {order.request_id: [ref]}
        bench.ended(ref)

    def test_p12_status_leaves_out_what_it_does_not_know(self, bench: Bench) -> None:
        ref, strange = bench.provider.submit(bench.order(ONCE)), TaskRef("nobody-knows-this")
        bench.ended(ref)
        assert bench.provider.status([]) == {}
        assert bench.provider.status([strange]) == {}
        assert set(bench.provider.status([strange, ref])) == {ref}

    def test_p13_status_of_a_batch_from_a_new_process(self, bench: Bench) -> None:
        refs = [bench.provider.submit(bench.order(f"exit {code}")) for code in range(5)]
        for ref in refs:
            bench.ended(ref)
        found = bench.child("status", ids=[ref.id for ref in refs])
        states = [[("failed" if code else "succeeded"), code] for code in range(5)]
        assert found == {ref.id: state for ref, state in zip(refs, states, strict=True)}

    def test_p14_twenty_tasks_at_once_each_end_as_themselves(self, bench: Bench) -> None:
        tasks = [bench.submit(f"exit {code}") for code in range(20)]
        assert [bench.end(task).exit_code for task in tasks] == list(range(20))

    def test_p15_an_end_stays_what_it_was(self, bench: Bench) -> None:
        ref = bench.provider.submit(bench.order("exit 4"))
        first = bench.ended(ref)
        second = bench.client().provider().status([ref])[ref]
        assert (second.state, second.attempts) == (first.state, first.attempts)
        assert first.source in ("node", "provider", "store")
        assert abs(first.observed_at - time.time()) < 60 + self.patience

    @pytest.mark.parametrize("name", STRANGE)
    def test_p16_a_strange_reference_is_an_unknown_one(self, bench: Bench, name: str) -> None:
        bench.run("true")
        ref = TaskRef(name)
        assert bench.provider.status([ref]) == {}
        assert bench.provider.find([name], 0.0) == {}
        with pytest.raises(NotFoundError):
            bench.provider.cancel(ref, 0.0)
        try:
            nodes = bench.provider.node_access(ref)
        except FlowError:
            nodes = []
        assert not nodes

    def test_p17_a_task_outlives_a_client_that_is_killed(self, bench: Bench) -> None:
        task = bench.flow.task(bench.child("submit_then_die", command="sleep 0.5; echo done; exit 5"))
        assert bench.end(task).exit_code == 5
        assert bench.output(task) == b"done\n"

    def test_p18_what_cannot_be_is_refused_before_anything_happens(self, bench: Bench) -> None:
        self.need(bench, "flow_provision_check")
        with pytest.raises(ConfigError) as refused:
            bench.submit(ONCE, instance_type="999xnosuchgpu")
        problem = refused.value.problems[0]
        assert problem.path.split(".")[0].split("[")[0] in ("instance_type", "resources", "num_instances")
        assert problem.code
        assert problem.message
        assert bench.flow.tasks() == []

    def test_p19_a_check_changes_nothing_and_repeats_itself(self, bench: Bench) -> None:
        self.need(bench, "flow_provision_check")
        good, bad = bench.flow.config(ONCE), bench.flow.config(ONCE, instance_type="999xnosuchgpu")
        assert bench.provider.check(good) == []
        assert bench.provider.check(bad) == bench.provider.check(bad)
        assert bench.provider.check(good) == []
