"""A provider whose nodes share no folder: each rank has its own, as on machines that were rented one by one."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from flow_core import (
    NodeAccess,
    Problem,
    ProviderFacts,
    Submission,
    TaskConfig,
    TaskRef,
    TaskReport,
    TransientError,
    hookimpl,
    nodes,
)
from flow_core.hookspecs import NodeHooks, ProvisionHooks


@attrs.frozen
class ApartSettings:
    """Where the nodes are."""

    root: Path = attrs.field(metadata={"help": "Folder that holds a folder for each node."})


class ApartProvider(ProvisionHooks, NodeHooks):
    """Runs each rank in a folder that no other rank sees."""

    Settings = ApartSettings

    def __init__(self, settings: ApartSettings) -> None:
        self._root = settings.root

    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        return ProviderFacts(multi_node=True, separate_streams=True, min_poll_seconds=0.02)

    @hookimpl
    def flow_provision_check(self, config: TaskConfig) -> Sequence[Problem]:
        return []

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        count = submission.config.num_instances
        with socket.socket() as door:
            door.bind(("127.0.0.1", 0))
            peers = {"address": "127.0.0.1", "port": door.getsockname()[1], "token": "theirs"}
        for rank in range(count):
            alone = {
                "rank": {"here": rank},
                "master": {"address": "127.0.0.1"},
                **({"peers": peers} if count > 1 else {}),
            }
            bundle = attrs.evolve(submission.bundle, document={**submission.bundle.document, **alone})
            folder = nodes.stage(self._root / str(rank), attrs.evolve(submission, bundle=bundle))
            nodes.spawn(folder, rank)
        return TaskRef(submission.request_id)

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]:
        return {name: [TaskRef(name)] for name in request_ids if self.folders(name)}

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        return {ref: nodes.report(self.folders(ref.id)[0]) for ref in refs if self.folders(ref.id)}

    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        return nodes.cancel(self.folders(ref.id)[0], grace_seconds)

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        return [NodeAccess(rank, "folder", str(folder)) for rank, folder in enumerate(self.folders(ref.id))]

    def folders(self, name: str) -> list[Path]:
        found = [path / name for path in sorted(self._root.iterdir(), key=lambda path: int(path.name))]
        return [path for path in found if path.is_dir()]


class HoldingProvider(ApartProvider):
    """Holds the machines of an ended task until it is told to give them back; while ``down`` is there nobody answers."""

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        held = not self.place("released").exists()
        found = super().flow_provision_status(refs)
        return {ref: attrs.evolve(one, machine_held=one.is_final and held) for ref, one in found.items()}

    @hookimpl
    def flow_provision_release(self, ref: TaskRef) -> bool:
        if self.place("down").exists():
            raise TransientError("nobody answers")
        with self.place("released").open("a") as file:
            return file.write(f"{ref.id}\n") > 0

    def place(self, name: str) -> Path:
        """A file beside the nodes."""
        return self._root.parent / name
