"""A provider written with nothing but the public functions: tasks as processes, one folder each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import attrs
import pytest

from flow_core import (
    NodeAccess,
    NotFoundError,
    Problem,
    Submission,
    TaskConfig,
    TaskRef,
    TaskReport,
    hookimpl,
    nodes,
)
from flow_core.bundle import build
from flow_core.hookspecs import NodeHooks, ProvisionHooks
from flow_core.types import LogCursor, ProviderFacts, new_request_id

T = TypeVar("T")


@attrs.frozen
class ToySettings:
    root: Path = attrs.field(default=Path("~/.flow-toy"), metadata={"help": "Folder that holds the tasks."})
    max_nodes: int = attrs.field(default=4, metadata={"help": "Most ranks of one task."})


class ToyProvider(ProvisionHooks, NodeHooks):
    Settings = ToySettings

    def __init__(self, settings: ToySettings) -> None:
        self._root = settings.root.expanduser()
        self._max_nodes = settings.max_nodes

    @hookimpl
    def flow_provision_check(self, config: TaskConfig) -> Sequence[Problem]:
        problems = []
        if config.num_instances > self._max_nodes:
            problems.append(Problem("num_instances", "TOO_MANY_NODES", f"toy runs at most {self._max_nodes} nodes"))
        return problems

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        folder = nodes.stage(self._root, submission)
        for rank in range(submission.config.num_instances):
            nodes.spawn(folder, rank)
        return TaskRef(submission.request_id)

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]:
        return {name: [TaskRef(name)] for name in request_ids if (self._root / name).is_dir()}

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        return {ref: nodes.report(self._root / ref.id) for ref in refs if (self._root / ref.id).is_dir()}

    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        if not (self._root / ref.id).is_dir():
            raise NotFoundError(f"toy knows no task {ref.id}")
        return nodes.cancel(self._root / ref.id, grace_seconds)

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        folder = self._root / ref.id
        return [NodeAccess(rank=rank, kind="folder", path=str(folder)) for rank in range(nodes.size(folder))]


@pytest.fixture
def toy(tmp_path: Path) -> ToyProvider:
    return ToyProvider(ToySettings(root=tmp_path / "toy"))


def submission(cwd: Path, command: str, num_instances: int = 1) -> Submission:
    config, request_id = TaskConfig(command=command, num_instances=num_instances), new_request_id()
    bundle = build(
        config,
        task_id="t1",
        request_id=request_id,
        name="n",
        facts=ProviderFacts(shares_client_files=True),
        secrets={},
        cwd=cwd,
        created_at=time.time(),
    )
    return Submission(request_id, "t1", "toy", "toy", config, bundle)


def until(look: Callable[[], T], seconds: float = 15.0) -> T:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
    return found


def ended(toy: ToyProvider, ref: TaskRef) -> TaskReport:
    return until(lambda: report if (report := toy.flow_provision_status([ref])[ref]).is_final else None)


def test_a_task_submitted_twice_runs_once_on_all_its_nodes(toy: ToyProvider, tmp_path: Path) -> None:
    wish = submission(tmp_path, "echo rank $RANK; exit $((RANK * 7))", num_instances=2)
    ref = toy.flow_provision_submit(wish)
    assert toy.flow_provision_submit(wish) == ref
    report = ended(toy, ref)
    assert (report.state, report.attempts[0].exit_code) == ("failed", 7)
    access = toy.flow_node_access(ref)
    assert [one.rank for one in access] == [0, 1]
    chunks = nodes.open_node(access[0]).read(LogCursor())
    assert {(chunk.rank, chunk.data) for chunk in chunks} == {(0, b"rank 0\n"), (1, b"rank 1\n")}


def test_a_submit_that_was_killed_between_staging_and_starting_is_found_and_finished(
    toy: ToyProvider, tmp_path: Path
) -> None:
    wish = submission(tmp_path, "exit 3")
    nodes.stage(tmp_path / "toy", wish)
    assert toy.flow_provision_find([wish.request_id, "flow-other"], 0.0) == {
        wish.request_id: [TaskRef(wish.request_id)]
    }
    assert ended(toy, toy.flow_provision_submit(wish)).attempts[0].exit_code == 3


def test_a_task_that_was_cancelled_before_it_was_started_ends(toy: ToyProvider, tmp_path: Path) -> None:
    wish = submission(tmp_path, "sleep 60")
    nodes.stage(tmp_path / "toy", wish)
    assert toy.flow_provision_cancel(TaskRef(wish.request_id), 1.0) is True
    assert ended(toy, toy.flow_provision_submit(wish)).state == "cancelled"


def test_cancel_ends_every_node(toy: ToyProvider, tmp_path: Path) -> None:
    ref = toy.flow_provision_submit(submission(tmp_path, "sleep 60", num_instances=2))
    until(lambda: toy.flow_provision_status([ref])[ref].state == "running")
    assert toy.flow_provision_cancel(ref, 2.0) is True
    assert ended(toy, ref).state == "cancelled"
    assert toy.flow_provision_cancel(ref, 2.0) is False
