"""Flow's own words to a person, on stderr."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from flow_core.errors import FlowError

if TYPE_CHECKING:
    from flow_core.client import Task
    from flow_core.journal import TaskRow

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def say(text: str) -> None:
    """Write one line of Flow's own to stderr; where that is full, nobody reads it, and the command goes on."""
    try:
        sys.stderr.write(f"flow: {text}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        raise
    except OSError:  # a stream without what could not be written, or each later flush would fail of it
        sys.stderr = open(  # noqa: SIM115 - it stays open
            sys.stderr.fileno(), "w", encoding=sys.stderr.encoding, errors="backslashreplace", closefd=False
        )


def quoted(row: TaskRow) -> str:
    """Return how a task is called in a sentence."""
    return f'{row.id} "{row.name}"'


def ending(row: TaskRow) -> str:
    """Return how a task ended, in a sentence."""
    state = row.state.replace("_", " ")
    how = row.reason if row.reason.startswith(state) else f"{state}: {row.reason}".removesuffix(": ")
    return f"{quoted(row)} {how}"


def say_which(word: str, row: TaskRow) -> None:
    """Say which task was taken when several have the name."""
    if row.newest_of > 1:
        say(f'{row.id} is the newest of {row.newest_of} named "{word}"')


def say_missing(task: Task) -> None:
    """Say which outputs were asked for and are not there, where that is known."""
    if not task.config.outputs:
        return
    with suppress(FlowError):
        if missing := task.missing_outputs:
            say(f"no file matches the output{'s' * (len(missing) > 1)} {one_line(', '.join(missing))}")


def one_line(text: str) -> str:
    """Return ``text`` without anything that would move a terminal's cursor."""
    return _CONTROL.sub(" ", text)
