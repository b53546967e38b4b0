"""Services: when they are ready, when they are started again, and when they are not."""

from __future__ import annotations

import json
import socket
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flow_core.runner import bundle as bundles, files, outcome, places, record

from .machine import Machine, alive, marked, until

SERVER = f"exec {sys.executable} -u -m http.server $FLOW_PORT_WEB --bind 127.0.0.1"
WEB = [{"name": "web", "port": 0}]
QUICK = {"interval": 0.1, "timeout": 2.0, "failures": 2}
PATIENT = {**QUICK, "timeout": 20.0, "start_period": 60.0}  # a server of Python takes its time on a busy machine
RETRY = {"retries": 0, "delay": 0.05, "max_delay": 0.2}


def node(machine: Machine, task: str, attempt: int = -1, rank: int = 0) -> dict[str, Any]:
    found = machine.report(task)["attempts"]
    return found[attempt]["nodes"][rank] if found else {"ready": False, "state": "pending"}


def ready(machine: Machine, task: str) -> bool:
    return bool(node(machine, task)["ready"])


def port(machine: Machine, task: str, name: str = "web", rank: int = 0) -> int:
    return files.ports(str(machine.folder(task)), rank)[name]


def events(machine: Machine) -> list[str]:
    return [line.split(" ", 2)[2] for line in (machine.root / "events").read_text().splitlines()]


def test_a_service_is_ready_when_it_answers_and_not_before(machine: Machine, tmp_path: Path) -> None:
    go = tmp_path / "go"
    task = machine.submit(
        f"while [ ! -e {go} ]; do sleep 0.02; done; {SERVER}", ports=WEB, health={"http": "/", **QUICK, "failures": 99}
    )
    until("it runs", lambda: node(machine, task)["state"] == "running")
    assert not ready(machine, task)
    assert machine.report(task)["reason"] == "not ready yet"
    go.touch()
    until("it is ready", lambda: ready(machine, task))
    assert machine.report(task)["reason"] == "ready"
    with closing(socket.create_connection(("127.0.0.1", port(machine, task)))):
        pass
    assert "1 0 ready" in events(machine)


@pytest.mark.parametrize("kind", ["tcp", "command"])
def test_it_may_be_asked_by_tcp_or_by_a_command(machine: Machine, kind: str) -> None:
    checks = {"tcp": "web", "command": 'test "$FLOW_PORT_WEB" -gt 0 && test "$MINE" = 1 && test -e mark'}
    task = machine.submit(
        f"touch mark; {SERVER}", ports=WEB, health={kind: checks[kind], **QUICK, "failures": 99}, env={"MINE": "1"}
    )
    until("it is ready", lambda: ready(machine, task))


def test_a_task_without_a_health_check_is_ready_while_it_runs(machine: Machine) -> None:
    task = machine.submit("echo ready; sleep 30")
    machine.running(task)
    assert node(machine, task)["ready"] is True
    assert machine.report(task)["reason"] == ""


def test_a_service_that_falls_ill_fails_with_what_is_wrong(machine: Machine) -> None:
    program = (
        "import http.server as h, os\n"
        "class H(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(503 if os.path.exists('ill') else 204); self.end_headers()\n"
        "h.HTTPServer(('127.0.0.1', int(os.environ['FLOW_PORT_WEB'])), H).serve_forever()\n"
    )
    task = machine.submit(
        command={"argv": [sys.executable, "-c", program]}, ports=WEB, health={"http": "/live", **PATIENT}
    )
    until("it is ready", lambda: ready(machine, task))
    (machine.folder(task) / "work" / "ill").touch()
    found = machine.wait(task)
    assert (found["state"], found["reason"]) == ("failed", "unhealthy: GET /live: status 503")
    assert len(found["attempts"]) == 1
    assert found["attempts"][0]["nodes"][0]["ready"] is False


def test_one_that_never_answers_is_given_up_after_the_start_period_and_its_failures(machine: Machine) -> None:
    started = time.monotonic()
    found = machine.run("sleep 60", ports=WEB, health={"tcp": "web", **QUICK, "start_period": 0.5})
    assert found["reason"].startswith("unhealthy: port ")
    assert "Connection refused" in found["reason"]
    assert time.monotonic() - started >= 0.5 + 2 * 0.1


def test_a_failing_command_is_told_with_its_first_words(machine: Machine) -> None:
    found = machine.run("sleep 60", health={"command": "echo no  model; echo more; exit 3", **QUICK})
    assert found["reason"] == "unhealthy: exit code 3: no model"


def test_what_a_failing_command_said_is_not_told_of_a_task_with_secrets(machine: Machine) -> None:
    found = machine.run(
        "sleep 60",
        health={"command": "echo token $TOKEN; exit 3", **QUICK},
        secrets={"TOKEN": "hunter2-hunter2"},
        bundle_secrets={"names": {"TOKEN": "TOKEN"}},
    )
    assert found["reason"].startswith("unhealthy: exit code 3 (what it said may hold a secret")
    assert "hunter2" not in json.dumps(found)


def test_a_check_that_hangs_is_killed_with_all_it_started(machine: Machine) -> None:
    found = machine.run("sleep 60", health={"command": "sleep 4711 & sleep 4711", **QUICK, "timeout": 0.3})
    assert found["reason"] == "unhealthy: no answer within 0.3 s"
    until("the checks are gone", lambda: not marked("sleep\0004711", "cmdline"))


def test_a_check_that_hangs_holds_up_nothing_else(machine: Machine) -> None:
    task = machine.submit("sleep 60", health={"command": "sleep 4712", **QUICK, "timeout": 20.0})
    until("a check", lambda: marked("sleep\0004712", "cmdline"))
    assert machine.run("exit 3")["attempts"][-1]["exit_code"] == 3
    (machine.folder(task) / "control").mkdir(exist_ok=True)
    record.write_json(str(machine.folder(task) / "control/cancel"), {"grace": 0})
    assert machine.wait(task)["state"] == "cancelled"
    until("the check is gone", lambda: not marked("sleep\0004712", "cmdline"))


def test_a_service_that_takes_its_end_well_has_failed_all_the_same(machine: Machine) -> None:
    found = machine.run("trap 'exit 0' TERM; sleep 60 & wait", health={"command": "exit 1", **QUICK})
    assert (found["state"], found["attempts"][0]["exit_code"]) == ("failed", 0)


def test_on_failure_starts_it_again_and_a_success_is_the_end(machine: Machine) -> None:
    found = machine.run("echo $FLOW_ATTEMPT; [ $FLOW_ATTEMPT = 4 ] || exit 7", restart="on-failure", retry=RETRY)
    assert (found["state"], [a["exit_code"] for a in found["attempts"]]) == ("succeeded", [7, 7, 7, 0])


def test_each_restart_is_an_attempt_with_its_own_log(machine: Machine) -> None:
    task = machine.submit("echo $FLOW_ATTEMPT; [ $FLOW_ATTEMPT = 3 ] || exit 7", restart="on-failure", retry=RETRY)
    machine.wait(task)
    assert [machine.output(task, attempt=number) for number in (1, 2, 3)] == [b"1\n", b"2\n", b"3\n"]


def test_always_starts_it_again_after_a_success_too(machine: Machine) -> None:
    task = machine.submit("echo ready", restart="always", retry=RETRY)
    until("three attempts", lambda: len(machine.report(task)["attempts"]) >= 3)
    assert {a["state"] for a in machine.report(task)["attempts"][:2]} == {"succeeded"}


def test_a_restart_does_not_use_up_retries(machine: Machine) -> None:
    found = machine.run("[ $FLOW_ATTEMPT = 4 ] || exit 7", restart="on-failure", retry={**RETRY, "retries": 1})
    assert len(found["attempts"]) == 4


def test_an_unhealthy_service_is_started_again_and_keeps_its_port(machine: Machine) -> None:
    task = machine.submit(
        f"[ $FLOW_ATTEMPT = 1 ] && exec sleep 60; {SERVER}",
        ports=WEB,
        health={"http": "/", **QUICK, "failures": 30},
        restart="on-failure",
        retry=RETRY,
    )
    until("it is ready", lambda: ready(machine, task))
    first, second = machine.report(task)["attempts"]
    assert first["reason"].startswith("unhealthy: ")
    assert second["nodes"][0]["ready"] is True
    kept = [json.loads(path.read_text()) for path in sorted(machine.folder(task).glob("attempts/*/0/ports.json"))]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("when", ["running", "resting"])
def test_a_cancel_ends_it_for_good(machine: Machine, when: str) -> None:
    from flow_core.runner import queue

    slow = {"retries": 0, "delay": 30.0, "max_delay": 60.0}
    task = machine.submit(
        "echo ready; [ $0 = x ] && sleep 60; exit 1" if when == "resting" else "echo ready; sleep 60",
        restart="always",
        retry=slow,
    )
    machine.running(task)
    if when == "resting":
        until("it rests", lambda: machine.report(task)["state"] == "pending")
        assert machine.report(task)["reason"].endswith("it is restarted")
    queue.request_cancel(str(machine.folder(task)), 0.0)
    found = machine.wait(task)
    assert (found["state"], len(found["attempts"])) == ("cancelled", 1)


def test_the_time_limit_ends_it_for_good(machine: Machine) -> None:
    found = machine.run("sleep 60", restart="always", retry=RETRY, limits={"time_limit": 0.3, "grace": 1.0})
    assert (found["state"], len(found["attempts"])) == ("timed_out", 1)


def test_when_one_node_is_unhealthy_all_are_started_again(machine: Machine) -> None:
    task = machine.submit(
        "echo $FLOW_ATTEMPT; sleep 60",
        num_instances=2,
        health={"command": "test $FLOW_NODE_RANK = 0 || test $FLOW_ATTEMPT = 2", **QUICK},
        restart="on-failure",
        retry=RETRY,
        limits={"grace": 1.0},
    )
    until(
        "both are ready",
        lambda: len(machine.report(task)["attempts"]) == 2 and machine.report(task)["reason"] == "ready",
    )
    assert [n["state"] for n in machine.report(task)["attempts"][0]["nodes"]] == ["cancelled", "failed"]


def test_a_killed_server_is_taken_over_with_what_is_ready(machine: Machine) -> None:
    task = machine.submit(SERVER, ports=WEB, health={"http": "/", **PATIENT})
    until("it is ready", lambda: ready(machine, task))
    watcher = machine.watcher(task)
    machine.kill_server()
    assert ready(machine, task)
    machine.serve()
    until("a server", machine.servers)
    assert alive(watcher)
    with urllib.request.urlopen(f"http://127.0.0.1:{port(machine, task)}/") as answer:
        assert answer.status == 200
    seen = machine.output(task, "stderr").count(b"GET / ")
    until("it is looked at again", lambda: machine.output(task, "stderr").count(b"GET / ") > seen + 1)
    assert len(machine.report(task)["attempts"]) == 1


def test_the_health_check_leaves_no_error_in_the_services_log(machine: Machine) -> None:
    program = (
        "import http.server as h, os\n"
        "class H(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers()\n"
        "        for _ in range(50): self.wfile.write(b'x' * 10000)\n"
        "h.HTTPServer(('127.0.0.1', int(os.environ['FLOW_PORT_WEB'])), H).serve_forever()\n"
    )
    task = machine.submit(command={"argv": [sys.executable, "-c", program]}, ports=WEB, health={"http": "/", **PATIENT})
    until("it is ready", lambda: ready(machine, task))
    until("five looks", lambda: machine.output(task, "stderr").count(b"GET") >= 5)
    assert b"Traceback" not in machine.output(task, "stderr")


def test_only_the_newest_attempts_of_a_restless_service_are_kept(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = machine.submit("echo ready", restart="always", retry={"delay": 0.0, "max_delay": 0.0})
    until("many attempts", lambda: machine.report(task)["attempts"][-1:] and last(machine, task) > 105, 60.0)
    assert len(record.attempts(str(machine.folder(task)))) <= 102


def last(machine: Machine, task: str) -> int:
    return max(record.attempts(str(machine.folder(task))), default=0)


def done(*spans: tuple[float, float | None]) -> list[dict[str, Any]]:
    """Attempts that were well from, and ended at (None: never well)."""
    return [
        {"state": "failed", "ended_at": end, "nodes": [{"started_at": 0.0, "ready_at": since if end else None}]}
        for since, end in spans
    ]


def test_the_pause_begins_anew_after_it_ran_well() -> None:
    assert outcome.short_lived(done((0, 1), (0, 1)), 60.0) == 2
    assert outcome.short_lived(done((0, 1), (0, 60), (0, 1)), 60.0) == 1
    assert outcome.short_lived(done((0, 1), (0, 61)), 60.0) == 0


def test_one_that_ran_for_long_but_was_never_ready_did_not_run_well() -> None:
    attempt = {"state": "failed", "ended_at": 500.0, "nodes": [{"started_at": 0.0, "ready_at": None}]}
    assert outcome.short_lived([attempt], 60.0) == 1


def test_chosen_ports_are_free_apart_and_below_those_of_outgoing_connections(machine: Machine) -> None:
    ports = [{"name": f"p{number}", "port": 0} for number in range(20)]
    task = machine.submit("echo ready; env | grep FLOW_PORT_ | sort; sleep 30", ports=ports)
    machine.running(task)
    until("the ports", lambda: machine.output(task).count(b"FLOW_PORT_") == 20)
    numbers = [int(line.split(b"=")[1]) for line in machine.output(task).splitlines()[1:]]
    assert len(set(numbers)) == 20
    assert all(number < places._first_outgoing() for number in numbers)
    for number in numbers:
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", number))


def test_a_port_that_somebody_listens_on_is_not_chosen_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        number = taken.getsockname()[1]
        assert places._free_ports({"web": 0}, {"web": number})["web"] != number


def test_a_bundle_without_health_has_none(machine: Machine) -> None:
    assert bundles.read(str(machine.root / "tasks" / machine.stage("true"))).health is None


def test_what_listens_but_never_answers_is_late(machine: Machine) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        found = machine.run(
            "sleep 60",
            ports=[{"name": "web", "port": silent.getsockname()[1]}],
            health={"http": "/", **QUICK, "timeout": 0.2},
        )
    assert found["reason"] == "unhealthy: no answer within 0.2 s"


def test_a_second_cancel_does_not_give_more_time(machine: Machine) -> None:
    from flow_core.runner import control

    folder = str(machine.root / "tasks" / machine.stage("true"))
    for grace, want in ((5.0, 5.0), (30.0, 5.0), (None, 5.0), (0.2, 0.2)):
        control.request_cancel(folder, grace)
        assert control.cancel_grace(folder, 1.0) == want
