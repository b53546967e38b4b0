"""What is read of a text: a mapping with the line and column of every word in it."""

from __future__ import annotations

import bisect
import re

import attrs

from flow_core.spec._report import Wrong, join, printable
from flow_core.types import Problem

DEEPEST = 64
MOST_VALUES = 100_000


@attrs.frozen
class Unreadable(Exception):  # noqa: N818 - never leaves this package
    """The text cannot be understood from ``index`` on; nothing after it is known."""

    index: int
    code: str
    message: str
    hint: str = ""


@attrs.define
class Document:
    """What was read: ``data``, where each path begins, and what is wrong without being in the way of the rest."""

    file: str
    text: str
    positions: dict[str, tuple[int, int]] = attrs.Factory(dict)
    problems: list[Problem] = attrs.Factory(list)
    data: dict[str, object] = attrs.Factory(dict)
    _values: int = 0
    _line_starts: list[int] = attrs.Factory(list)

    def place(self, index: int) -> tuple[int, int]:
        """Return line and column, from 1, of the character at ``index``."""
        if not self._line_starts:
            self._line_starts = [0, *(found.end() for found in re.finditer(r"\r\n?|\n", self.text))]
        line = bisect.bisect_right(self._line_starts, index)
        return line, index - self._line_starts[line - 1] + 1

    def add(self, path: str, index: int, error: Wrong | Unreadable) -> None:
        """Note a problem of ``path`` at ``index``."""
        line, column = self.place(index)
        problem = Problem(path, error.code, error.message, error.hint, file=self.file, line=line, column=column)
        self.problems.append(printable(problem))

    def enter(self, index: int, depth: int) -> None:
        """Count one more value; raises :class:`Unreadable` when there are too many or they are nested too deep."""
        self._values += 1
        if depth > DEEPEST:
            raise Unreadable(index, "TOO_DEEP", f"is nested more than {DEEPEST} deep")
        if self._values > MOST_VALUES:
            hint = "write the values out instead of repeating aliases"
            raise Unreadable(index, "TOO_LARGE", f"comes to more than {MOST_VALUES:,} values", hint)

    def entry(self, found: dict[str, object], path: str, key: str, index: int) -> str | None:
        """Return the path of ``key``, which is written at ``index``, or None with a problem when ``found`` has it."""
        here = join(path, key)
        if key in found:
            line = self.positions[here][0]
            self.add(here, index, Wrong(f"`{key}` is there already, on line {line}", "leave one out", "DUPLICATE"))
            return None
        self.positions[here] = self.place(index)
        return here
