"""The client: submit, run, wait, logs, cancel, volumes; what ``import flow`` and the command line stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_core._lazy import attribute

if TYPE_CHECKING:
    from flow_core.client._exit import (
        exit_status as exit_status,
    )
    from flow_core.client._flow import (
        Flow as Flow,
    )
    from flow_core.client._forward import (
        Way as Way,
    )
    from flow_core.client._kept import (
        Artifact as Artifact,
    )
    from flow_core.client._plan import (
        Plan as Plan,
    )
    from flow_core.client._task import (
        Task as Task,
    )

_HOMES = {
    "flow_core.client._flow": "Flow",
    "flow_core.client._forward": "Way",
    "flow_core.client._kept": "Artifact",
    "flow_core.client._plan": "Plan",
    "flow_core.client._exit": "exit_status",
    "flow_core.client._task": "Task",
}

__all__ = [
    "Artifact",
    "Flow",
    "Plan",
    "Task",
    "Way",
    "exit_status",
]


def __getattr__(name: str) -> object:
    return attribute(__name__, _HOMES, name)
