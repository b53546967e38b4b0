"""The client: submit, run, wait, logs, cancel, volumes; what ``import flow`` and the command line stand on."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flow_core.client._flow import (
        Flow as Flow,
    )
    from flow_core.client._plan import (
        Plan as Plan,
    )
    from flow_core.client._task import (
        Task as Task,
        exit_status as exit_status,
    )

_HOMES = {
    "flow_core.client._flow": "Flow",
    "flow_core.client._plan": "Plan",
    "flow_core.client._task": "Task exit_status",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Flow",
    "Plan",
    "Task",
    "exit_status",
]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value  # asked once
    return value
