"""A journal that is damaged or removed costs nothing but a warning: tasks are found again where they ran."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from flow_core import Flow
from flow_core.errors import NotFoundError


def _garbage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(12 * 4096))


def _cut(path: Path) -> None:
    os.truncate(path, 5000)
    for name in ("-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)


def _removed(path: Path) -> None:
    for found in path.parent.glob(path.name + "*"):
        found.unlink()


@pytest.mark.parametrize("damage", [_garbage, _cut, _removed])
def test_tasks_are_found_again_with_name_state_and_log(flow: Flow, home: Path, damage) -> None:
    ended = flow.submit("echo out; exit 3", name="ended")
    assert ended.wait() == 3
    live = flow.submit("sleep 0.5; exit 4", name="live")
    flow.session.journal.close()
    damage(home / "state" / "journal.db")

    after = Flow()
    with pytest.warns(UserWarning, match="the journal was (damaged|gone).*; tasks found again: 2"):
        found = after.task("ended")

    assert (found.id, found.exit_code, after.task("live").id) == (ended.id, 3, live.id)
    assert b"".join(chunk.data for chunk in found.logs()) == b"out\n"
    assert found.config.command == ended.config.command
    assert after.task("live").wait(timeout=30) == 4
    assert Flow().task("ended").exit_code == 3


def test_a_journal_that_is_removed_while_it_is_used_is_filled_again(flow: Flow, home: Path) -> None:
    task = flow.submit("exit 5")
    _removed(home / "state" / "journal.db")
    with pytest.warns(UserWarning, match="the journal was gone; tasks found again: 1"):
        assert task.wait(timeout=30) == 5
    assert [found.id for found in Flow().tasks()] == [task.id]


def test_a_journal_that_breaks_while_it_is_used_is_filled_again(flow: Flow, home: Path) -> None:
    task = flow.submit("exit 5")
    path = home / "state" / "journal.db"
    flow.session.journal.close()
    path.write_bytes(b"garbage" * 1000)
    with pytest.warns(UserWarning, match=r"kept as .*journal\.db\.corrupt-.*; tasks found again: 1"):
        assert task.wait(timeout=30) == 5


def test_one_folder_that_cannot_be_read_hides_no_other(flow: Flow, home: Path) -> None:
    kept, spoilt, empty = (flow.submit(f"exit {code}", name=f"t{code}") for code in (1, 2, 3))
    assert [task.wait() for task in (kept, spoilt, empty)] == [1, 2, 3]
    for folder in home.glob("state/local/done/*/flow-*"):
        document = json.loads((folder / "bundle.json").read_text())
        if document["task_id"] == spoilt.id:
            document.update(config={"command": 5, "unknown": True}, created_at="yesterday")
            (folder / "bundle.json").write_text(json.dumps(document))
        if document["task_id"] == empty.id:
            (folder / "bundle.json").write_text("")
    flow.session.journal.close()
    _removed(home / "state" / "journal.db")

    with pytest.warns(UserWarning, match="tasks found again: 3"):
        assert Flow().task("t1").exit_code == 1
    assert Flow().task(spoilt.id).exit_code == 2
    assert sorted(task.exit_code for task in Flow().tasks()) == [1, 2, 3]


def test_a_key_still_names_its_task_afterwards(flow: Flow, home: Path) -> None:
    task = flow.submit("true", idempotency_key="nightly-1")
    task.wait()
    flow.session.journal.close()
    _removed(home / "state" / "journal.db")
    with pytest.warns(UserWarning, match="tasks found again: 1"):
        assert Flow().submit("true", idempotency_key="nightly-1").id == task.id


def test_the_first_use_warns_of_nothing(flow: Flow) -> None:
    with pytest.raises(NotFoundError):
        flow.task("nobody")
