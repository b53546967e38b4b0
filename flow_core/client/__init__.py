"""The client: submit, run, wait, logs, cancel, volumes; what ``import flow`` and the command line stand on."""

from flow_core.client._flow import Flow
from flow_core.client._forward import Way
from flow_core.client._plan import Plan
from flow_core.client._task import Task, exit_status

__all__ = ["Flow", "Plan", "Task", "Way", "exit_status"]
