"""A provider that does nothing and can everything: what host plugins are wrapped around."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from flow_core.errors import NotFoundError
from flow_core.hookspecs import PROVIDER_SPECS, hookimpl
from flow_core.types import (
    Identity,
    LogChunk,
    LogCursor,
    Offer,
    Problem,
    ProviderFacts,
    TaskRef,
    TaskReport,
    Volume,
)


class PlainProvider:
    """Answers most hooks with the same each time; ``calls`` counts what reached it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def _said(self, hook: str, answer: Any) -> Any:
        self.calls.append(hook)
        return answer

    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        return self._said("flow_provider_facts", ProviderFacts(multi_node=True))  # type: ignore[no-any-return]

    @hookimpl
    def flow_auth_check(self) -> Identity:
        return self._said("flow_auth_check", Identity("somebody"))  # type: ignore[no-any-return]

    @hookimpl
    def flow_provision_check(self, config: Any) -> Sequence[Problem]:  # noqa: ARG002
        return self._said("flow_provision_check", [])  # type: ignore[no-any-return]

    @hookimpl
    def flow_provision_offers(self, request: Any) -> Sequence[Offer]:  # noqa: ARG002
        return self._said("flow_provision_offers", [Offer("cpu", price_per_hour=Decimal("0.01"))])  # type: ignore[no-any-return]

    @hookimpl
    def flow_provision_submit(self, submission: Any) -> TaskRef:
        return self._said("flow_provision_submit", TaskRef(submission.request_id))  # type: ignore[no-any-return]

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str]) -> Mapping[str, Sequence[TaskRef]]:
        return self._said("flow_provision_find", {name: [TaskRef(name)] for name in request_ids})  # type: ignore[no-any-return]

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        return self._said("flow_provision_status", {ref: TaskReport("running") for ref in refs})  # type: ignore[no-any-return]

    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:  # noqa: ARG002
        self.calls.append("flow_provision_cancel")
        if ref.id == "nobody":
            raise NotFoundError("there is no task nobody")
        return True

    @hookimpl
    def flow_volume_list(self) -> Sequence[Volume]:
        return self._said("flow_volume_list", [Volume("v", "v")])  # type: ignore[no-any-return]

    @hookimpl
    def flow_logs_read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:  # noqa: ARG002
        self.calls.append("flow_logs_read")
        return iter([LogChunk(1, 0, "both", 0, b"one\n"), LogChunk(1, 0, "both", 4, b"\xff\x00")])


SPECS = PROVIDER_SPECS
