"""``flow cp``."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import click

from flow_core.cli._envelope import emit
from flow_core.cli._options import json_option, node_option
from flow_core.cli._talk import say, say_which
from flow_core.client import Flow, Task
from flow_core.errors import ConfigError
from flow_core.types import format_size

_REMOTE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*):(.*)", re.DOTALL)


@attrs.frozen
class Place:
    """A path, and the task it is on; None is this machine."""

    task: str | None
    path: str


def place(word: str) -> Place:
    """Read ``TASK:path``; what has a slash before the colon is a path here."""
    found = _REMOTE.fullmatch(word)
    return Place(found[1], found[2]) if found else Place(None, word)


@click.command("cp")
@click.argument("source", metavar="SRC", type=click.Path())
@click.argument("target", metavar="DST", type=click.Path())
@node_option
@json_option
def command(source: str, target: str, node: int, as_json: bool) -> None:
    """Copy one file to or from a task's node; the other side is TASK:path.

    \b
      flow cp train:out/model.pt .
      flow cp data.csv train:data.csv
    """
    origin, goal = place(source), place(target)
    if (origin.task is None) == (goal.task is None):
        raise click.UsageError("one of SRC and DST is TASK:path, the other a path here (./a:b for a name with a colon)")
    size = _get(origin, goal.path, node) if origin.task is not None else _put(origin.path, goal, node)
    if as_json:
        emit({"source": source, "target": target, "bytes": size})
    else:
        say(f"copied {format_size(size)}")


def _task(word: str | None) -> Task:
    task = Flow().task(word or "")
    say_which(word or "", task.row)
    return task


def _get(origin: Place, goal: str, node: int) -> int:
    target = Path(goal)
    if target.is_dir():
        target /= Path(origin.path).name
    if not target.parent.is_dir():
        raise ConfigError(f"the folder {target.parent} does not exist", "make it first")
    return _task(origin.task).get(origin.path, target, node)


def _put(origin: str, goal: Place, node: int) -> int:
    source = Path(origin)
    if not source.is_file():
        raise ConfigError(f"{source} is not a file", "pack a folder first, as with tar" if source.is_dir() else "")
    path = goal.path + source.name if goal.path.endswith("/") or not goal.path else goal.path
    return _task(goal.task).put(source, path, node)
