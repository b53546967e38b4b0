"""flow_toy: a provider that runs tasks as processes of this machine, one folder each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from flow_core import (
    NodeAccess,
    NotFoundError,
    Problem,
    ProviderFacts,
    Submission,
    TaskConfig,
    TaskRef,
    TaskReport,
    hookimpl,
    nodes,
)
from flow_core.hookspecs import NodeHooks, ProvisionHooks


@attrs.frozen
class ToySettings:
    """What a profile of this provider may set."""

    root: Path = attrs.field(default=Path("~/.flow-toy"), metadata={"help": "Folder that holds the tasks."})
    max_nodes: int = attrs.field(default=4, metadata={"help": "Most ranks of one task."})


class ToyProvider(ProvisionHooks, NodeHooks):
    """The entry point ``flow.providers: toy`` names this class."""

    Settings = ToySettings

    def __init__(self, settings: ToySettings) -> None:
        self._root = settings.root.expanduser()
        self._max_nodes = settings.max_nodes

    def _folder(self, request_id: str) -> Path | None:
        """Return a task's folder; a name that is no name of ours has none, whatever path it would make."""
        return next((path for path in self._root.glob("flow-*") if path.name == request_id), None)

    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        here = ProviderFacts(shares_client_files=True, multi_node=True, separate_streams=True)
        return attrs.evolve(here, restarts_by_itself=True, min_poll_seconds=0.05)

    @hookimpl
    def flow_provision_check(self, config: TaskConfig) -> Sequence[Problem]:
        problems = []
        if config.num_instances > self._max_nodes:
            problems.append(Problem("num_instances", "TOO_MANY_NODES", f"toy runs at most {self._max_nodes} nodes"))
        if config.resources.gpu_count or config.instance_type not in (None, "cpu"):
            problems.append(Problem("instance_type", "NO_GPU", "toy has no GPUs and no types", "leave it out"))
        return problems

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        folder = nodes.stage(self._root, submission)  # by rename: a second call with this request_id changes nothing
        for rank in range(submission.config.num_instances):
            nodes.spawn(folder, rank)  # under a lock: a rank that was started is not started again
        return TaskRef(submission.request_id)

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]:
        return {name: [TaskRef(name)] for name in request_ids if self._folder(name)}

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        return {ref: nodes.report(folder) for ref in refs if (folder := self._folder(ref.id))}

    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        return nodes.cancel(self._known(ref), grace_seconds)

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        folder = self._known(ref)
        return [NodeAccess(rank=rank, kind="folder", path=str(folder)) for rank in range(nodes.size(folder))]

    def _known(self, ref: TaskRef) -> Path:
        folder = self._folder(ref.id)
        if folder is None:
            raise NotFoundError(f"toy knows no task {ref.id}")
        return folder
