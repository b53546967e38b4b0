"""Flow's own log of hook calls, for authors and for whoever asks where the time goes: ``FLOW_LOG=text`` or ``json``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class HookLog:
    """Writes one line to stderr per call of a hook: its plugin, its name, how long it took and what kind of error it gave.

    No argument and no answer is written, so no secret can be.
    """

    def __init__(self, plugin: str, form: str) -> None:
        import structlog

        last = (
            structlog.processors.JSONRenderer()
            if form == "json"
            else structlog.processors.LogfmtRenderer(key_order=["at", "event"])
        )
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="at")
        self._logger: Any = structlog.wrap_logger(structlog.PrintLogger(sys.stderr), processors=[stamp, last]).bind(
            plugin=plugin
        )

    def call(self, hook: str, act: Callable[[], T]) -> T:
        """Return what ``act`` returns, and write down that it was called."""
        started = time.perf_counter()
        error = ""
        try:
            return act()
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            self._logger.msg(hook, seconds=round(time.perf_counter() - started, 6), error=error)
