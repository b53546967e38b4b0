"""Wrong on purpose: an answer, an argument and a record of the wrong type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flow_core import NodeAccess, Problem, Submission, TaskConfig, TaskRef, TaskReport, hookimpl
from flow_core.hookspecs import NodeHooks, ProvisionHooks


class AcmeProvider(ProvisionHooks, NodeHooks):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> str:
        return submission.request_id

    @hookimpl
    def flow_provision_find(self, request_ids: str, since: float) -> Mapping[str, Sequence[TaskRef]]:
        return {}

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        return dict.fromkeys(refs, "running")

    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef) -> bool:
        return True

    @hookimpl
    def flow_provision_check(self, config: TaskConfig) -> Sequence[Problem]:
        return [Problem("num_instances", "TOO_MANY")]

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        return [NodeAccess(rank="0", kind="folder")]
