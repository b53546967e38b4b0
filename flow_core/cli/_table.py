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


# What a narrow terminal does without, first to last; the first column stays in any case.
_SPARE = (
    *("BYTES", "SHA256", "KIND", "DISTRIBUTION", "VERSION", "REGION", "USED BY", "PROCESSES", "PRIORITY", "PLACE"),
    *("NODES", "TYPE", "PROFILE", "CREATED", "TIME", "EXIT", "REASON", "SUMMARY", "NOTE"),
)
_LEAST, _MOST = 12, 24  # characters of the last column that are worth having, of the others that are not cut off


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
    """Return rich's table: words of state in their colour; the last column takes what is left.

    Columns that say nothing are left out, and for a narrow terminal those that can be spared.
    """
    from rich.table import Table
    from rich.text import Text

    cells = [[Text(one_line(cell), style=_STYLES.get(cell, "")) for cell in row] for row in rows]
    sizes = {
        place: max([len(title), *(row[place].cell_len for row in cells)])
        for place, title in enumerate(header)
        if place == 0 or any(row[place] for row in cells)
    }
    widths = _fitted(header, sizes, console().width - 2)  # ^C must not wrap: a live table would be drawn one line lower
    drawn = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for place, width in widths.items():
        drawn.add_column(header[place], overflow="ellipsis", no_wrap=True, width=width)
    for row in cells:
        drawn.add_row(*(row[place] for place in widths))
    return drawn


def _fitted(header: Row, sizes: dict[int, int], room: int) -> dict[int, int]:
    """Return the width of each column that is shown in ``room`` characters; two are between columns."""
    widths = sizes
    if _needed(widths) > room:
        widths = {place: min(size, _MOST) if place else size for place, size in sizes.items()}
    for title in _SPARE:
        if _needed(widths) > room:
            widths = {place: size for place, size in widths.items() if place == 0 or header[place] != title}
    *first, last = widths
    left = room - sum(widths[place] + 2 for place in first)
    return {**widths, last: max(1, min(sizes[last], left))}


def _needed(widths: dict[int, int]) -> int:
    *first, last = widths.values()
    return sum(first) + 2 * len(first) + min(last, _LEAST)
