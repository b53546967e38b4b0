"""Tasks in folders, for authors of providers; and what core does with the machines they are on."""

from typing import TYPE_CHECKING

from flow_core.nodes._deliver import NotReadyError, deliver, disconnect, fetch, host_keys, run
from flow_core.nodes._machine import (
    Gpu,
    describe_machine,
    enforced_limits,
    find_gpus,
    is_abandoned,
    mounts_impossible,
)
from flow_core.nodes._node import Node, open_host, open_node
from flow_core.nodes._process import cancel, serve, spawn
from flow_core.nodes._queue import queue, waiting_reports
from flow_core.nodes._report import conclude, document, listing, locate, parse_report, report, size
from flow_core.nodes._stage import stage, sweep
from flow_core.nodes._usage import NodeUsage, look

if TYPE_CHECKING:
    from flow_core.nodes._host import SshHost as SshHost

__all__ = [
    "Gpu",
    "Node",
    "NodeUsage",
    "NotReadyError",
    "cancel",
    "conclude",
    "deliver",
    "describe_machine",
    "disconnect",
    "document",
    "enforced_limits",
    "fetch",
    "find_gpus",
    "host_keys",
    "is_abandoned",
    "listing",
    "locate",
    "look",
    "mounts_impossible",
    "open_host",
    "open_node",
    "parse_report",
    "queue",
    "report",
    "run",
    "serve",
    "size",
    "spawn",
    "stage",
    "sweep",
    "waiting_reports",
]
