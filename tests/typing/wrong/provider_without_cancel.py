"""Wrong on purpose: a required operation is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from flow_core import NodeAccess, Submission, TaskRef, TaskReport, hookimpl
from flow_core.hookspecs import NodeHooks, ProvisionHooks


@final
class AcmeProvider(ProvisionHooks, NodeHooks):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        return TaskRef(submission.request_id)

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]:
        return {}

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        return {}

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        return []
