"""A task that its provider does not know is lost when that is so for half a minute on end, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest

from flow_core import Flow
from flow_core.client import _refresh
from flow_core.faces import Provider
from flow_core.types import TaskRef, TaskReport


class Clock:
    """The time as the client's refresh reads it, and a provider that may forget."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, provider: Provider) -> None:
        self.now, self.knows = 1_000_000.0, True
        status, find = provider.status, provider.find

        def told(refs: list[TaskRef]) -> dict[TaskRef, TaskReport]:
            return status(refs) if self.knows else {}

        def found(request_ids: list[str], since: float) -> object:
            return find(request_ids, since) if self.knows else {}

        monkeypatch.setattr(provider, "status", told)
        monkeypatch.setattr(provider, "find", found)
        monkeypatch.setattr(_refresh.time, "time", lambda: self.now)


@pytest.fixture
def clock(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, flow.provider("local"))


def look(flow: Flow, clock: Clock, knows: bool, seconds: float) -> str:
    clock.now += seconds
    clock.knows = knows
    return flow.tasks(limit=1)[0].status


def test_one_look_is_not_believed_nor_two_that_are_close(flow: Flow, clock: Clock) -> None:
    flow.submit("sleep 60")

    assert look(flow, clock, knows=False, seconds=0) != "lost"
    assert look(flow, clock, knows=False, seconds=29) != "lost"
    assert look(flow, clock, knows=False, seconds=2) == "lost"


def test_a_look_between_that_finds_it_begins_anew(flow: Flow, clock: Clock) -> None:
    flow.submit("sleep 60")
    look(flow, clock, knows=False, seconds=0)
    look(flow, clock, knows=True, seconds=20)

    assert look(flow, clock, knows=False, seconds=20) != "lost"
    assert look(flow, clock, knows=False, seconds=31) == "lost"


def test_a_clock_that_is_set_back_is_no_half_minute(flow: Flow, clock: Clock) -> None:
    flow.submit("sleep 60")
    look(flow, clock, knows=False, seconds=0)

    assert look(flow, clock, knows=False, seconds=-3600) != "lost"
    assert look(flow, clock, knows=False, seconds=31) == "lost"


def test_a_lost_task_whose_record_turns_up_has_the_end_that_it_tells(flow: Flow, home: Path, eventually) -> None:
    task = flow.submit("exit 7")
    eventually(lambda: list(home.glob("state/local/done/*/flow-*/final.json")))
    (folder,) = home.glob("state/local/done/*/flow-*")
    aside = folder.rename(home / "aside")
    flow.session.journal.finish(task.id, "lost", "local no longer knows this task")
    assert Flow().task(task.id).status == "lost"

    aside.rename(folder)

    found = Flow().task(task.id)
    assert (found.status, found.exit_code) == ("failed", 7)
    assert found.wait() == 7
    changes = [row.event.data for row in flow.session.journal.events(task.id) if row.event.kind == "task.state"]
    assert [(change["from"], change["to"]) for change in changes][-1] == ("lost", "failed")
