"""What a person sees while a large snapshot of their code is made."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from flow_core.bundle import Progress, shown

if TYPE_CHECKING:
    from types import TracebackType

    from rich.status import Status

    from flow_core.cli._interrupts import Interrupts

_SOON = 0.5  # seconds that may pass without a word


class Snapshot:
    """While entered, a snapshot that takes long says on a terminal how far it is, and a signal ends it at once."""

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts
        self._stack = ExitStack()
        self._status: Status | None = None
        self._from = time.monotonic() + _SOON

    def __enter__(self) -> None:
        self._stack.enter_context(shown(self._show))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _show(self, progress: Progress) -> None:
        self._interrupts.let_through()
        if not sys.stderr.isatty() or time.monotonic() < self._from:
            return
        if self._status is None:
            from rich.console import Console

            self._status = self._stack.enter_context(Console(stderr=True).status(""))
        self._status.update(_words(progress))


def _words(progress: Progress) -> str:
    from flow_core.types import format_size

    if not progress.of_files:
        return f"reading the code folder: {progress.files:,} files"
    copied = f", {format_size(progress.bytes)} copied" if progress.bytes else ""
    return f"snapshot of the code: {progress.files:,} of {progress.of_files:,} files{copied}"
