"""P50-P67: what a task finds around it, and what it leaves behind."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from decimal import Decimal

import pytest

from flow_core.secrets import Secret, set_
from flow_core.testing._bench import Bench
from flow_core.testing._contract import Contract
from flow_core.testing._ground import processes
from flow_core.types import OfferRequest, TaskRef, new_request_id

_AWKWARD = {"QUOTES": 'it\'s "two" $HOME `id`', "EMPTY": "", "LINES": "a\nb\n", "WIDE": "ü€😀", "EQUALS": "a=b=c"}


class Surroundings(Contract):
    """Environment, code, secrets, and nothing left over."""

    def test_p50_the_clients_environment_does_not_leak_into_a_task(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KIT_CANARY", "leaked")
        assert bench.lines('echo "${KIT_CANARY-clean}"') == ["clean"]

    def test_p51_variables_arrive_as_they_were_given(self, bench: Bench) -> None:
        task = bench.run("env -0", env=_AWKWARD)
        given = dict(line.split("=", 1) for line in bench.output(task).decode().split("\0") if "=" in line)
        assert {name: given.get(name) for name in _AWKWARD} == _AWKWARD

    def test_p52_a_task_knows_who_it_is(self, bench: Bench) -> None:
        task = bench.run('echo "$FLOW_TASK_ID $FLOW_ATTEMPT"')
        assert bench.output(task).decode().split() == [task.id, "1"]

    def test_p53_arguments_arrive_as_they_were_given(self, bench: Bench) -> None:
        given = ["a b", "", "it's", '"', "$HOME", "*", "\\", "x\ny", "ü", "-n", ";"]
        task = bench.run(["/bin/sh", "-c", 'for a; do printf "%s\\0" "$a"; done', "sh", *given])
        assert bench.output(task).decode().split("\0")[:-1] == given

    def test_p54_the_code_is_where_the_command_starts(self, bench: Bench) -> None:
        (bench.work / "data.txt").write_text("hello\n", encoding="utf-8")
        (bench.work / "sub").mkdir()
        (bench.work / "sub" / "inner.txt").write_text("inner\n", encoding="utf-8")
        for mode in ("snapshot", *(["inplace"] if bench.provider.facts.shares_client_files else [])):
            assert bench.lines("cat data.txt", code={"mode": mode}) == ["hello"]
            assert bench.lines("cat inner.txt", code={"mode": mode}, working_dir="sub") == ["inner"]

    def test_p55_a_snapshot_is_what_was_there_at_the_submit(self, bench: Bench) -> None:
        (bench.work / "data.txt").write_text("before\n", encoding="utf-8")
        task = bench.submit("sleep 0.5; cat data.txt", code={"mode": "snapshot"})
        (bench.work / "data.txt").write_text("after\n", encoding="utf-8")
        assert bench.output(bench.end(task)) == b"before\n"

    def test_p56_a_secret_reaches_the_task_and_nothing_keeps_it(self, bench: Bench) -> None:
        value = "kit-" + new_request_id()
        set_("KIT_SECRET", value, bench.flow.session.secret_stores)
        task = bench.run('test -n "$KIT_SECRET" && echo ${#KIT_SECRET}', secrets=["KIT_SECRET"])
        assert bench.output(task) == b"%d\n" % len(value)
        # Where there is a keyring, it is in no file at all.
        assert set(bench.holders([value.encode()])) <= {"secrets.json"}

    def test_p57_a_secret_shows_in_no_argument_list_and_no_text(
        self, bench: Bench, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        value = "kit-" + new_request_id()
        set_("KIT_SECRET", value, bench.flow.session.secret_stores)
        order = bench.order("sleep 60", secrets=["KIT_SECRET"])
        ref = bench.provider.submit(order)
        bench.until(lambda: bench.report(ref).state == "running", "it never runs")
        shown = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
        report = repr(bench.report(ref))
        bench.provider.cancel(ref, 0.0)
        bench.ended(ref)
        said = (*capfd.readouterr(), caplog.text)
        for text in (shown, report, repr(order), repr(ref), repr(dict(ref.extra)), str(Secret(value)), *said):
            assert value not in text

    def test_p58_a_preview_masks_secrets_and_sends_nothing(self, bench: Bench) -> None:
        self.need(bench, "flow_provision_preview")
        value = "kit-" + new_request_id()
        set_("KIT_SECRET", value, bench.flow.session.secret_stores)
        order = bench.order("true", secrets=["KIT_SECRET"])
        shown = bench.provider.preview(order)
        assert shown
        assert all(isinstance(text, str) and value not in text for text in shown.values())
        assert bench.provider.find([order.request_id], 0.0) == {}

    def test_p59_a_use_of_the_provider_leaves_this_process_as_it_was(self, bench: Bench) -> None:
        from flow_core.testing._probe import Probe

        found = Probe.of(bench, self.kind, self.plugin_name(), "use")
        assert not found.changes, found.changes

    def test_p60_nothing_is_left_over_after_the_last_task(self, bench: Bench) -> None:
        self.need_sight(bench)
        mark = new_request_id()
        bench.run("true", env={"KIT_MARK": mark})
        bench.until(lambda: not processes(mark), f"still there: {processes(mark)}", seconds=self.linger)
        bench.until(
            lambda: not processes(str(bench.home)), f"still there: {processes(str(bench.home))}", seconds=self.linger
        )

    def test_p61_offers_are_typed_and_the_cheapest_comes_first(self, bench: Bench) -> None:
        self.need(bench, "flow_provision_offers")
        prices = [offer.price_per_hour for offer in bench.provider.offers(OfferRequest())]
        known = [price for price in prices if price is not None]
        assert all(isinstance(price, Decimal) and price >= 0 for price in known)
        assert known == sorted(known)

    def test_p62_many_at_once_are_each_answered_and_each_idempotent(self, bench: Bench) -> None:
        self.need(bench, "flow_provision_submit_many")
        orders = [bench.order("echo ran", env={"N": str(n)}) for n in range(3)]
        call = bench.provider._call
        first = call("flow_provision_submit_many", submissions=orders)
        second = call("flow_provision_submit_many", submissions=orders)
        assert first == second
        assert set(first) == {order.request_id for order in orders}
        for ref in first.values():
            bench.ended(ref)
            assert bench.log_of(ref) == b"ran\n"

    def test_p63_a_machine_can_be_given_back_twice(self, bench: Bench) -> None:
        self.need(bench, "flow_provision_release")
        ref = bench.provider.submit(bench.order("true"))
        bench.ended(ref)
        assert isinstance(bench.provider.release(ref), bool)
        assert bench.provider.release(ref) is False
        assert not bench.report(ref).machine_held

    def test_p64_nothing_is_held_after_the_last_task(self, bench: Bench) -> None:
        self.need(bench, "flow_resource_list", "flow_resource_delete")
        before = {resource.id for resource in bench.provider.resources()}
        task = bench.run("true")
        bench.until(
            lambda: {r.id for r in bench.provider.resources() if r.task_id in (task.id, None)} <= before,
            "a resource of an ended task is held",
        )
        assert bench.provider.delete_resource("nobody-knows-this") is False

    def test_p65_answers_are_of_the_promised_types(self, bench: Bench) -> None:
        order = bench.order("true")
        ref = bench.provider.submit(order)
        assert isinstance(ref, TaskRef)
        assert ref.id
        assert all(isinstance(k, str) and isinstance(v, str) for k, v in ref.extra.items())
        report = bench.ended(ref)
        assert report.attempts
        assert "\n" not in report.reason

    def test_p66_a_task_runs_in_a_session_of_its_own(self, bench: Bench) -> None:
        self.need_sight(bench)
        own = os.getsid(0)
        (line,) = bench.lines(f"ps -o sid= -p $$ | tr -d ' '; : {shlex.quote('x')}")
        assert int(line) != own

    def test_p67_every_task_is_listed_once_by_its_names(self, bench: Bench) -> None:
        self.need(bench, "flow_provision_list")
        began = time.time() - 1
        tasks = {task.id: task for task in (bench.run("true", name=name) for name in ("one", "two"))}
        listed = [listing for listing in bench.client().provider().list_tasks(began) if listing.task_id in tasks]
        assert sorted(listing.task_id for listing in listed) == sorted(tasks)
        for listing in listed:
            task = tasks[listing.task_id]
            assert (listing.ref, listing.name) == (bench.ref(task), task.name)
            assert bench.provider.find([listing.request_id], began) == {listing.request_id: [listing.ref]}
        assert not [one for one in bench.provider.list_tasks(time.time() + 3600) if one.task_id in tasks]

    def test_p68_the_queue_names_what_runs_and_why_others_wait(self, bench: Bench) -> None:
        self.need(bench, "flow_provision_queue")
        task = bench.submit("echo up; sleep 60")
        bench.started(task)
        (mine,) = [one for one in bench.client().provider().queue() if one.task_id == task.id]
        assert (mine.ref, mine.state) == (bench.ref(task), "running")
        assert all(one.reason and "\n" not in one.reason for one in bench.provider.queue() if one.state == "pending")
        task.cancel(grace=0.0)
        bench.end(task)
        queued = bench.provider.queue
        bench.until(lambda: task.id not in [one.task_id for one in queued()], "the task has ended and is still queued")

    def test_p69_what_it_adds_to_the_doctor_says_what_to_do(self, bench: Bench) -> None:
        self.need(bench, "flow_provider_checks")
        found = bench.provider.checks()
        assert {check.status for check in found} <= {"ok", "warning", "error"}
        assert all(check.name and check.message for check in found)
        assert all(check.mend for check in found if check.status == "error")
