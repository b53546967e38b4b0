"""Reading a task from a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flow_core.spec._load import load
from flow_core.spec._reader import read_mapping
from flow_core.spec._report import Positions, config_error

if TYPE_CHECKING:
    from collections.abc import Collection

    from flow_core.types import Problem, TaskConfig

SUFFIXES = (".yaml", ".yml", ".json")


def read_file(path: Path, *, providers: Collection[str] = ()) -> TaskConfig:
    """Return the task that a YAML or JSON file describes.

    ``.json`` files are JSON; any other file is JSON when it begins with a brace and is JSON, else YAML 1.2. Raises
    :class:`ConfigError` with every problem of the file, each with its line and column.
    """
    document = load(Path(path))
    return read_mapping(
        document.data,
        positions=document.positions,
        file=document.file,
        providers=providers,
        problems=document.problems,
    )


def load_mapping(path: Path, *, problems: list[Problem] | None = None) -> tuple[dict[str, object], Positions]:
    """Return a file's mapping as it is written, and the (line, column) of every path in it, to be merged and read.

    What is wrong but in nobody's way (a duplicate key, an ambiguous number) is added to ``problems``, to be given to
    :func:`read_mapping` and reported with the rest; without that list it raises :class:`ConfigError`, as a file that
    cannot be understood always does.
    """
    document = load(Path(path))
    if problems is not None:
        problems.extend(document.problems)
    elif document.problems:
        raise config_error(document.problems, document.file)
    return document.data, document.positions


def is_task_file(word: str) -> bool:
    """Say whether ``word`` names a task file that is there, rather than a command."""
    return word.endswith(SUFFIXES) and os.path.isfile(word)  # a long command is no path at all
