"""A provider's order with a chosen request id, so that several processes can give the very same one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from flow_core.client._needs import find_secrets
from flow_core.client._submit import make_submission
from flow_core.types import Submission

if TYPE_CHECKING:
    from flow_core.client import Flow


def order(flow: Flow, request_id: str, command: str, **fields: Any) -> Submission:
    """Return the submission of a command under ``request_id``; its task id follows from that."""
    plan = flow.plan(flow.config(command, **fields))
    task_id = "t" + request_id[5:21]
    made = make_submission(flow.session, plan, task_id, find_secrets(flow.session, plan.config))
    document = {**made.bundle.document, "request_id": request_id}
    return attrs.evolve(made, request_id=request_id, bundle=attrs.evolve(made.bundle, document=document))
