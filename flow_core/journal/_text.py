"""Text that is not Unicode: file names may hold any bytes, which SQLite takes for no text."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any


class Connection(sqlite3.Connection):
    """A connection that writes bytes which are no UTF-8 as ``\\udcff``, rather than fail."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute one statement."""
        try:
            return super().execute(sql, parameters)
        except UnicodeEncodeError:
            return super().execute(sql, _writable(parameters))

    def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        """Execute a statement for each row."""
        return super().executemany(sql, map(_writable, rows))


def _writable(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(item.encode("utf-8", "backslashreplace").decode() if isinstance(item, str) else item for item in row)
