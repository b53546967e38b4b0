"""One thing that is wrong with a config, and where it stands."""

from __future__ import annotations

import attrs


@attrs.frozen
class Problem:
    """``path`` names the place (``resources.memory``, ``mounts[0].target``), ``code`` the kind, ``hint`` the mend.

    ``file``, ``line`` and ``column`` (from 1) are added by core from ``path``. ``severity`` is ``error`` or ``warning``.
    """

    path: str
    code: str
    message: str
    hint: str = ""
    severity: str = "error"
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        text = f"{self.path}: {self.message}" if self.path else self.message
        return (f"{where}: " if where else "") + text + (f" ({self.hint})" if self.hint else "")
