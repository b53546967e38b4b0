"""``flow wait --ready``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Program

_HEALTH = "health: {command: test -e well, interval: 0.1, start_period: 60}\n"


def _service(flow: Program, command: str) -> str:
    (flow.folder / "service.yaml").write_text(f"command: {command}\n{_HEALTH}")
    answer = flow("run", "-d", "service.yaml")
    assert answer.status == 0, answer.err
    return answer.out.strip()


def test_it_returns_when_the_service_is_well(flow: Program) -> None:
    task = _service(flow, "sleep 1; touch well; sleep 600")
    began = time.monotonic()
    answer = flow("wait", "--ready", task)

    assert (answer.status, answer.out, answer.err) == (0, "", "")
    assert time.monotonic() - began > 0.5
    assert flow("status", task, "--json").data[0]["status"] == "running"


def test_a_task_without_a_health_check_is_ready_when_it_runs(flow: Program) -> None:
    assert flow("wait", "--ready", flow.submit("sleep 600")).status == 0


def test_one_that_ends_before_is_a_failure(flow: Program) -> None:
    task = _service(flow, "exit 0")
    answer = flow("wait", "--ready", task)

    assert answer.status != 0
    assert "ended before it was ready" in answer.err


def test_it_gives_up_after_the_timeout(flow: Program) -> None:
    task = _service(flow, "sleep 600")
    answer = flow("wait", "--ready", "--timeout", "300ms", task)

    assert answer.status != 0
    assert "not ready after 0.3 s" in answer.err
