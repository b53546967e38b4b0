"""What ``flow logs`` prints."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

from flow_core.cli._envelope import emit
from flow_core.cli._invocation import TaskStatus
from flow_core.cli._printer import Collected, Items, Printer
from flow_core.cli._streams import log_printer
from flow_core.cli._talk import ending, say, say_which
from flow_core.client import Flow, exit_status
from flow_core.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Collection

    from flow_core.client import Task


@attrs.frozen
class Wanted:
    """Which part of a log; ``since`` is seconds before now, ``ranks`` None means all nodes."""

    follow: bool
    tail: int | None
    since: float | None
    ranks: Collection[int] | None
    streams: Collection[str]
    times: bool
    redact: bool


def print_log(word: str, wanted: Wanted, as_json: bool) -> int:
    """Print the log; when following, return the task's status at its end."""
    task = Flow().task(word)
    say_which(word, task.row)
    _check_node(task, wanted.ranks)
    if as_json:
        _print_json(task, wanted)
    else:
        _copy(task, wanted, log_printer(task, wanted.times, wanted.redact))
    if not wanted.follow:
        return 0
    task.wait()
    row = task.row
    if row.state != "succeeded" and not as_json:
        say(ending(row))
    return TaskStatus(exit_status(row))


def _check_node(task: Task, ranks: Collection[int] | None) -> None:
    count = task.row.num_instances
    if ranks is not None and max(ranks) >= count:
        raise NotFoundError(f"{task.id} has no node {max(ranks)}", f"its nodes are 0 to {count - 1}")


def _print_json(task: Task, wanted: Wanted) -> None:
    redactor = task.redactor() if wanted.redact else None
    if wanted.follow:
        _copy(task, wanted, Printer(Items(task.id, "logs"), redactor))
        return
    collected = Collected(task.id)
    _copy(task, wanted, Printer(collected, redactor))
    emit(collected.items, "logs")


def _copy(task: Task, wanted: Wanted, printer: Printer) -> None:
    since = None if wanted.since is None else time.time() - wanted.since
    chunks = task.logs(wanted.follow, ranks=wanted.ranks, streams=wanted.streams, tail=wanted.tail, since=since)
    for chunk in chunks:
        printer.write(chunk)
    printer.finish()
