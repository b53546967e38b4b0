"""Signals as an exception that comes between two steps, never in the middle of one."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

import attrs

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@attrs.define
class Interrupted(BaseException):
    """A signal came."""

    number: int


class Interrupts:
    """While entered, SIGINT, SIGTERM and SIGHUP raise :class:`Interrupted` in the main thread.

    A signal that this process was started to ignore (nohup, a shell's ``&``) stays ignored.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._pending: int | None = None
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._former[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self._depth and self._pending is None:
            self._pending = number
            return
        # Nobody waits for a second signal: what is being done (a write to a full pipe, say) may never end.
        self._pending = None
        raise Interrupted(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold back the first signal until the block is done."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        self.let_through()

    def let_through(self) -> None:
        """Raise the signal that is held back, if there is one: what is being done may be left."""
        pending, self._pending = self._pending, None
        if pending is not None:
            raise Interrupted(pending)

    def another(self, seconds: float) -> bool:
        """Wait for a further signal; say whether one came."""
        try:
            time.sleep(seconds)
        except Interrupted:
            return True
        return False
