"""Which way a log goes for the flags that a command was given."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, BinaryIO

from flow_core.cli._printer import Lines, Printer, Raw
from flow_core.cli._talk import say

if TYPE_CHECKING:
    from flow_core.cli._printer import Sink
    from flow_core.client import Task
    from flow_core.secrets import Redactor


def attached_printer(task: Task, to_stderr: bool, redact: bool) -> Printer:
    """Return the printer of an attached ``flow run``; ``to_stderr`` leaves stdout to an envelope."""
    out, err = _stdout(), _stderr()
    return Printer(standard_sink(task, False, err if to_stderr else out, err), _redactor(task) if redact else None)


def log_printer(task: Task, times: bool, redact: bool) -> Printer:
    """Return the printer of ``flow logs``."""
    return Printer(standard_sink(task, times, _stdout(), _stderr()), _redactor(task) if redact else None)


def _redactor(task: Task) -> Redactor:
    redactor = task.redactor()
    if redactor.unmasked:
        say(f"warning: too short to be masked in the output: {', '.join(redactor.unmasked)}")
    return redactor


def standard_sink(task: Task, times: bool, out: BinaryIO, err: BinaryIO) -> Sink:
    """Return the bytes as they are; whole lines where several nodes write, or where times are asked for."""
    return Lines(out, err, times) if times or task.row.num_instances > 1 else Raw(out, err)


def _stdout() -> BinaryIO:
    sys.stdout.flush()
    return sys.stdout.buffer


def _stderr() -> BinaryIO:
    sys.stderr.flush()
    return sys.stderr.buffer
