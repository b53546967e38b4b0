"""A client that is killed leaves each task known everywhere or nowhere, and never twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from flow_core import Flow, TransientError
from flow_core.types import TaskRef

SOAK = bool(os.environ.get("FLOW_SOAK"))
_NEVER = "never submitted: the command that submitted it was killed"
_SUBMIT = 'Flow().submit("echo ran >> ran", name="one")'
_KILLED_AT_RANDOM = """
import os, random, signal, sys, time
import flow_core as flow

def submit_on(name, told):
    for number in range(1000):
        os.write(told, flow.submit(f"echo {name}-{number} >> ran").id.encode() + b"\\n")

flow.submit("true").wait()  # imports what it takes: what is killed is submitting
chance = random.Random(7)
for name in range(int(sys.argv[1])):
    heard, told = os.pipe()
    child = os.fork()
    if not child:
        submit_on(name, told)
    os.close(told)
    first = os.read(heard, 18)
    time.sleep(chance.uniform(0.0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with open(heard, "rb") as rest:
        print((first + rest.read()).decode(), end="")
"""


def _folders(home: Path) -> Counter[str]:
    folders = [*home.glob("state/local/tasks/flow-*"), *home.glob("state/local/done/*/flow-*")]
    return Counter(json.loads((folder / "bundle.json").read_bytes())["task_id"] for folder in folders)


def test_killed_at_any_instant_each_task_is_known_once_or_not_at_all(flow: Flow, home: Path, project: Path) -> None:
    count = 500 if SOAK else 30
    argv = [sys.executable, "-c", _KILLED_AT_RANDOM, str(count)]
    told = subprocess.run(argv, stdout=subprocess.PIPE, check=True, timeout=600).stdout.decode().split()

    flow.refresh()
    rows = {task.id: task for task in flow.tasks(limit=None) if task.config.command != "true"}
    for task in rows.values():
        if task.row.ref is not None:
            task.wait(timeout=30)

    accepted = {task.id for task in rows.values() if task.status == "succeeded"}
    print(f"{count} clients killed, {len(rows)} tasks recorded, {len(accepted)} ran, {len(told)} ids told")
    assert len(told) >= count
    assert set(told) <= accepted
    assert {task_id: count for task_id, count in _folders(home).items() if task_id in rows} == dict.fromkeys(
        accepted, 1
    )
    ran = Counter((project / "ran").read_text().split())
    assert (len(ran), set(ran.values())) == (len(accepted), {1})
    assert {task.reason for task in rows.values() if task.id not in accepted} <= {_NEVER}
    assert list(home.glob("state/local/tasks/.*.new")) == []


@pytest.mark.parametrize(
    "place",
    [
        'flow_core.faces.Provider, "submit"',
        'flow_core.nodes, "stage"',
        'flow_core.nodes._stage, "_write_all"',
        'flow_core.nodes._stage, "_accept"',
    ],
    ids=["W1 before the call", "W2 in the call", "W2 while staging", "W3 before the rename"],
)
def test_killed_before_the_task_was_accepted_it_never_runs(
    flow: Flow, home: Path, project: Path, client, place
) -> None:
    assert client(f"die_in({place})\n{_SUBMIT}") == -9

    flow.refresh()

    (task,) = flow.tasks()
    assert (task.status, task.reason) == ("cancelled", _NEVER)
    assert _folders(home) == Counter()
    assert [path.name for path in home.glob("state/local/tasks/.*") if path.name != ".swept"] == []
    assert not (project / "ran").exists()


@pytest.mark.parametrize(
    "place",
    ['flow_core.nodes, "serve"', 'Journal, "mark_accepted_all"', 'Journal, "task"'],
    ids=["W4 the answer was lost", "W5 the answer was not recorded", "recorded, not told"],
)
def test_killed_after_the_task_was_accepted_it_runs_once(flow: Flow, home: Path, project: Path, client, place) -> None:
    assert client(f"die_in({place})\n{_SUBMIT}") == -9

    flow.refresh()

    (task,) = flow.tasks()
    assert task.wait(timeout=30) == 0
    assert _folders(home) == Counter([task.id])
    assert (project / "ran").read_text() == "ran\n"


@pytest.mark.parametrize("place", ['"add_keeping"', '"mark_calling"'], ids=["W1 results", "W1 calling"])
def test_w1_killed_before_its_provider_was_called_a_task_was_never_submitted(
    flow: Flow, home: Path, project: Path, client, place
) -> None:
    submit = 'Flow().submit("echo ran >> ran", outputs=["ran"], idempotency_key="once")'
    assert client(f"die_in(Journal, {place})\n{submit}") == -9

    flow.refresh()

    (task,) = flow.tasks()
    assert (task.status, task.reason, _folders(home)) == ("cancelled", _NEVER, Counter())
    again = flow.submit("echo ran >> ran", outputs=["ran"], idempotency_key="once")
    assert again.wait(timeout=30) == 0
    assert [artifact.path for artifact in again.artifacts] == ["ran"]


def test_killed_while_many_are_submitted_each_that_was_accepted_runs_once_and_no_other(
    flow: Flow, home: Path, project: Path, client
) -> None:
    program = """
    from flow_core.nodes import _stage
    accept, done = _stage._accept, []

    def third_time_dies(*arguments):
        if len(done) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(accept(*arguments))

    _stage._accept = third_time_dies
    Flow().submit_many([f"echo {number} >> ran" for number in range(5)])
    """
    assert client(program) == -9

    flow.refresh()

    tasks = {task.config.command: task for task in flow.tasks()}
    assert len(tasks) == 5
    accepted = [task for task in tasks.values() if task.row.ref is not None]
    assert [task.wait(timeout=30) for task in accepted] == [0, 0]
    assert sorted((project / "ran").read_text().split()) == ["0", "1"]
    assert {task.reason for task in tasks.values() if task not in accepted} == {_NEVER}
    assert _folders(home) == Counter(task.id for task in accepted)


def test_w7_of_what_landed_twice_the_oldest_stays_and_each_other_is_cancelled_as_soon_as_it_can_be(
    flow: Flow, client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client(f'die_in(Journal, "mark_accepted_all")\n{_SUBMIT}') == -9
    provider, cancelled = flow.provider("local"), []
    find, silent = provider.find, {"late-1"}

    def found(request_ids: list[str], since: float) -> object:
        return {name: [*refs, TaskRef("late-1"), TaskRef("late-2")] for name, refs in find(request_ids, since).items()}

    def unknown(*_: object) -> object:
        raise TransientError("nobody answers")

    def cancel(ref: TaskRef, _grace: float) -> bool:
        if ref.id in silent:
            raise TransientError("nobody answers")
        cancelled.append(ref.id)
        return True

    with monkeypatch.context() as patch:
        patch.setattr(provider, "find", found)
        patch.setattr(provider, "cancel", cancel)
        flow.refresh()
        assert cancelled == ["late-2"]
        silent.clear()
        assert client(f'die_in(flow_core.faces.Provider, "submit")\n{_SUBMIT}') == -9
        patch.setattr(provider, "find", unknown)
        for _ in range(2):
            flow.refresh()
        assert cancelled == ["late-2", "late-1"]

    (task,) = [task for task in flow.tasks() if task.row.ref is not None]
    assert task.wait(timeout=30) == 0


def test_killed_before_the_intent_nothing_is_anywhere(flow: Flow, home: Path, client) -> None:
    assert client(f'die_in(Journal, "record_intent")\n{_SUBMIT}') == -9
    flow.refresh()
    assert flow.tasks() == []
    assert _folders(home) == Counter()


def test_w9_a_cancel_that_was_recorded_is_carried_out_by_the_next_command(flow: Flow, client) -> None:
    task = flow.submit("sleep 60")
    assert client(f'die_in(flow_core.nodes, "cancel")\nFlow().task("{task.id}").cancel()') == -9

    flow.refresh()

    assert task.wait(timeout=30) == 143
    assert task.status == "cancelled"


def test_w9_a_cancel_that_cannot_be_repeated_keeps_no_other_from_being_carried_out(
    flow: Flow, client, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [flow.submit("sleep 60") for _ in range(3)]
    for task in tasks:
        assert client(f'die_in(flow_core.nodes, "cancel")\nFlow().task("{task.id}").cancel()') == -9
    provider, asked = flow.provider("local"), []
    cancel = provider.cancel

    def cannot_be_reached_at_first(ref: TaskRef, grace_seconds: float) -> bool:
        asked.append(ref)
        if len(asked) == 1:
            raise TransientError("its machine does not answer")
        return cancel(ref, grace_seconds)

    monkeypatch.setattr(provider, "cancel", cannot_be_reached_at_first)
    assert [str(error) for error in flow.refresh().values()] == ["its machine does not answer"]
    assert len(asked) == 3

    flow.refresh()

    assert [task.wait(timeout=30) for task in tasks] == [143] * 3


def test_w10_an_end_that_was_not_recorded_is_found_again(flow: Flow, client, eventually) -> None:
    task = flow.submit("exit 7")
    assert client(f'die_in(Journal, "apply_all")\nFlow().task("{task.id}").wait()') == -9
    eventually(lambda: Flow().task(task.id).exit_code == 7)
    assert task.wait(timeout=30) == 7


def test_a_submitter_that_was_interrupted_leaves_its_task_to_the_next_command(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("flow_core.nodes.serve", interrupt)
        with pytest.raises(KeyboardInterrupt):
            flow.submit("exit 3")

    other = Flow()  # the process that was interrupted lives on, as a notebook does
    other.refresh()

    (task,) = other.tasks()
    assert task.wait(timeout=30) == 3


def test_a_task_that_is_cancelled_while_it_is_submitted_ends(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, eventually
) -> None:
    from flow_core import nodes

    serve = nodes.serve

    def cancelled_meanwhile(*arguments: object) -> None:
        monkeypatch.setattr(nodes, "serve", serve)
        (task,) = Flow().tasks()
        assert task.cancel(grace=0.0) is True
        serve(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(nodes, "serve", cancelled_meanwhile)
    task = flow.submit("sleep 60")

    # Nobody but its own queue is asked: the wish has to be there.
    folder = task._on_node(0)[0].node_access(task._on_node(0)[1])[0].path
    eventually(lambda: not Path(folder).exists() or (Path(folder) / "final.json").exists())
    assert task.wait(timeout=30) in (130, 137, 143)
    assert task.status == "cancelled"


def test_two_who_clean_up_at_once_do_it_once(flow: Flow, home: Path, client) -> None:
    assert client(f'die_in(flow_core.faces.Provider, "submit")\n{_SUBMIT}') == -9
    (row,) = flow.session.journal.unfinished()
    other = Flow()
    assert flow.session.journal.claim(row.request_id) is True
    assert other.session.journal.claim(row.request_id) is False
    assert other.session.journal.unfinished() == []
    flow.session.journal.release(row.request_id)
    assert [left.request_id for left in other.session.journal.unfinished()] == [row.request_id]


def test_what_a_killed_client_has_left_is_seen_by_the_next_look(flow: Flow, client: Callable[[str], int]) -> None:
    """Also right after another look, and though this process has looked before."""
    for _ in range(3):
        client("die_in(flow_core.faces.Provider, 'submit')\n" + _SUBMIT)
        flow.refresh()

    assert [task.status for task in flow.tasks()] == ["cancelled"] * 3
