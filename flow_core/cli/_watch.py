"""``flow status --watch``: a table that keeps itself up to date, or a line of its own for every change."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flow_core.cli._envelope import emit
from flow_core.cli._rows import HEADER
from flow_core.cli._table import columns, console, is_terminal, table
from flow_core.waiting import Backoff

if TYPE_CHECKING:
    from rich.console import RenderableType

    from flow_core.cli._status import Status

FASTEST, SLOWEST = 0.5, 5.0  # seconds between two looks


def watch(status: Status, as_json: bool) -> None:
    """Show the tasks until Ctrl-C, and named ones until all have ended."""
    if is_terminal() and not as_json:
        _watch_live(status)
        return
    changes = _Changes(status)
    if as_json:
        _each_change(status, changes, lambda: _emit_all(changes.data()))
    else:
        _each_change(status, changes, lambda: sys.stdout.write(changes.text()))


def _emit_all(rows: Iterable[object]) -> None:
    for row in rows:
        emit(row, "status")


class _Changes:
    """Knows which rows are different from the last time."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._before: dict[str, object] = {}
        self._numbers: list[int] = []
        self._first = True

    def find(self) -> bool:
        """Look for rows that changed since the last call."""
        rows = self._status.rows
        self._numbers = [number for number, row in enumerate(rows) if self._before.get(row.id) != row]
        self._before = {row.id: row for row in rows}
        return bool(self._numbers)

    def text(self) -> str:
        """Return the changed rows; the first time under a header."""
        lines = self._status.lines(relative=False)
        everything = columns(HEADER, lines).splitlines(keepends=True)
        shown = [everything[number + 1] for number in self._numbers]
        header, self._first = ([everything[0]] if self._first else []), False
        return "".join([*header, *shown])

    def data(self) -> list[dict[str, object]]:
        """Return the changed rows for a program."""
        rows = self._status.data()
        return [rows[number] for number in self._numbers]


def _each_change(status: Status, changes: _Changes, show: Callable[[], object]) -> None:
    backoff = Backoff(FASTEST, SLOWEST)
    while True:
        status.update()
        if changes.find():
            backoff.reset()
            show()
            sys.stdout.flush()
        if status.is_named and status.is_final:
            return
        time.sleep(backoff.next())


def _watch_live(status: Status) -> None:
    from rich.live import Live

    backoff = Backoff(FASTEST, SLOWEST)
    changes = _Changes(status)
    with Live(console=console(), auto_refresh=False, screen=False, vertical_overflow="ellipsis") as live:
        while True:
            status.update()
            if changes.find():
                backoff.reset()
            live.update(_drawn(status), refresh=True)
            if status.is_named and status.is_final:
                return
            time.sleep(backoff.next())


def _drawn(status: Status) -> RenderableType:
    from rich.text import Text

    if status.is_named and len(status.rows) == 1:
        return Text(status.text())
    return table(HEADER, status.lines(relative=True))
