"""``flow artifacts``."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import click

from flow_core.cli._ask import confirm
from flow_core.cli._envelope import emit
from flow_core.cli._group import Group
from flow_core.cli._options import json_option, task_argument
from flow_core.cli._table import show
from flow_core.cli._talk import say, say_which
from flow_core.client import Flow, Task
from flow_core.errors import NotFoundError
from flow_core.types import format_size

HEADER = ("PATH", "SIZE", "BYTES", "SHA256")


@click.group("artifacts", cls=Group)
def command() -> None:
    """List, get and remove the files that tasks kept with `outputs`."""


@command.command("list")
@task_argument
@json_option
def list_(task: str, as_json: bool) -> None:
    """List what a task kept."""
    found = _task(task).artifacts
    if as_json:
        emit(
            [
                {"path": one.path, "bytes": one.size, "mode": one.mode, "sha256": one.sha256, "rank": one.rank}
                for one in found
            ]
        )
    else:
        lines = ((one.path, format_size(one.size), str(one.size), one.sha256 or "") for one in found)
        show(HEADER, lines, empty="no artifacts; name some with --output")


@command.command("get")
@task_argument
@click.argument("globs", metavar="[PATH]...", nargs=-1)
@click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), default=".", help="Folder; default: here."
)
@json_option
def get(task: str, globs: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Write a task's artifacts, or those that are named (also as 'out/*'), below a folder, each whole or not at all."""
    found = _task(task)
    wanted = [one for one in found.artifacts if not globs or any(fnmatchcase(one.path, glob) for glob in globs)]
    missing = [glob for glob in globs if not any(fnmatchcase(one.path, glob) for one in wanted)]
    if missing:
        raise NotFoundError(f"{found.id} kept no {', '.join(missing)}", f"see: flow artifacts list {found.id}")
    done = []
    for one in wanted:
        target = one.download(folder)
        done.append({"path": one.path, "bytes": one.size, "file": str(target)})
        if not as_json:
            say(f"{target} ({format_size(one.size)})")
    if as_json:
        emit(done)


@command.command("rm")
@task_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def rm(task: str, yes: bool, as_json: bool) -> None:
    """Remove all that a task kept from its store: artifacts, result and logs; nothing brings it back."""
    found = _task(task)
    confirm(f'remove all that {found.id} "{found.name}" kept', yes)
    removed = found.remove_kept()
    say(f"removed what {found.id} kept" if removed else f"{found.id} had kept nothing")
    if as_json:
        emit({"id": found.id, "removed": removed})


def _task(word: str) -> Task:
    task = Flow().task(word)
    say_which(word, task.row)
    return task
