"""Rows for eyes and for programs: a table on a terminal, plain aligned columns in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flow_core.cli._talk import one_line, say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Row = Sequence[str]

_STYLES = {
    "running": "cyan",
    "provisioning": "blue",
    "pending": "blue",
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "lost": "red",
    "cancelled": "yellow",
    "preempted": "yellow",
    "ok": "green",
    "warning": "yellow",
    "error": "red",
}


def is_terminal() -> bool:
    """Say whether stdout is a terminal."""
    return sys.stdout.isatty()


def show(header: Row, rows: Iterable[Row], empty: str = "nothing to show") -> None:
    """Print rows: as a table on a terminal, else as columns that grep and awk take; ``empty`` is said to a person."""
    found = list(rows)
    if not is_terminal():
        sys.stdout.write(columns(header, found))
    elif found:
        console().print(table(header, found))
    else:
        say(empty)


def columns(header: Row, rows: Iterable[Row]) -> str:
    """Return lines of aligned columns, nothing cut off; an empty cell is ``-``, so that columns can be counted."""
    lines = [tuple(header), *(tuple(one_line(cell) or "-" for cell in row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(header))]
    return "".join("  ".join(map(str.ljust, line, widths)).rstrip() + "\n" for line in lines)


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Return ``name  value`` lines, aligned; those without a value are left out."""
    shown = [(name, one_line(value)) for name, value in rows if value]
    width = max((len(name) for name, _ in shown), default=0)
    return "".join(f"{name.ljust(width)}  {value}\n" for name, value in shown)


def console() -> Console:
    """Return rich's console on stdout; it honours NO_COLOR and the terminal's width."""
    from rich.console import Console

    return Console(highlight=False)


def table(header: Row, rows: Iterable[Row]) -> Table:
    """Return rich's table: words of state in their colour, the last column takes what is left."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for place, title in enumerate(header):
        last = place == len(header) - 1
        drawn.add_column(title, overflow="ellipsis", no_wrap=True, ratio=1 if last else None)
    for row in rows:
        drawn.add_row(*(Text(one_line(cell), style=_STYLES.get(cell, "")) for cell in row))
    return drawn
