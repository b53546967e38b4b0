"""What a frontend makes of a file."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from flow_core.types._config import TaskConfig
from flow_core.types._mapping import EMPTY
from flow_core.types._problem import Problem


@attrs.frozen
class FrontendTask:
    """A config that a frontend read: ``positions`` maps config paths to (line, column), ``notes`` says what became of each word.

    ``files`` (relative path -> bytes) ride to the node, into the folder ``$FLOW_TASK_DIR/files``: stand-in commands and
    the like. Core fills in ``source``, the file that was read, and ``frontend``, by whom; empty for a plain task file.

    ``native`` names the provider whose own language the file speaks: the notes, refusals too, are for all others.
    ``remarks`` are warnings for that one as well. ``after`` counts tasks of the same file from 0, all before this one: it
    starts when these have ended, however.
    """

    config: TaskConfig
    positions: Mapping[str, tuple[int, int]] = EMPTY
    notes: tuple[Problem, ...] = ()
    files: Mapping[str, bytes] = EMPTY
    source: str = ""
    frontend: str = ""
    native: str = ""
    after: tuple[int, ...] = ()
    remarks: tuple[Problem, ...] = ()
