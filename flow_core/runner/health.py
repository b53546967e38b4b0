"""Looking after a service: when it is ready, and when it is to be ended because it is not well any more.

A service that was never ready is looked at often, so that it is known soon that it is; such a look counts as a failure
once per interval, and not before the start period is over. It is given up after ``start_period + failures * interval``
seconds. One that is ready is looked at each interval, and given up after so many failures in a row.
"""

import time
from typing import Callable, Optional

from .bundle import BundleError, Health
from .loop import Loop, Timer
from .probes import OnEnd, Probe
from .rank import Rank

_FIRST, _SLOWEST = 0.1, 1.0  # seconds between two looks at what was never ready; doubling


class Checks:
    """The looks at one rank. ``on_ready`` is called when it has become ready, ``on_sick`` once, with what is wrong."""

    def __init__(
        self,
        loop: Loop,
        rank: Rank,
        health: Health,
        look: Callable[[OnEnd], Probe],
        on_ready: Callable[[], None],
        on_sick: Callable[[str], None],
    ) -> None:
        self._loop, self._rank, self._health, self._look = loop, rank, health, look
        self._on_ready, self._on_sick = on_ready, on_sick
        self._ready = rank.record().ready is True  # by whoever looked after it before
        self._failures = 0
        self._counts_at = rank.since + health.start_period + health.interval
        self._pause = min(_FIRST, health.interval)
        self._probe: Optional[Probe] = None
        self._timer: Optional[Timer] = None
        self._over = False
        self._later(self._pause)

    def stop(self) -> None:
        """Look no more."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._probe is not None:
            self._probe.stop()

    def _later(self, seconds: float) -> None:
        if not self._over:
            self._timer = self._loop.at(time.monotonic() + seconds, self._begin)

    def _begin(self) -> None:
        if not self._rank.live:  # another process has started it, and its watcher has not spoken yet
            self._later(_SLOWEST)
            return
        try:
            self._probe = self._look(self._learn)
        except (OSError, BundleError) as error:
            self._learn("it cannot be looked at: %s" % error)

    def _learn(self, why: str) -> None:
        if self._over:
            return
        if why:
            self._failed(why)
        else:
            self._succeeded()

    def _succeeded(self) -> None:
        self._failures = 0
        if not self._ready:
            self._ready = True
            mark(self._rank, True)
            self._on_ready()
        self._later(self._health.interval)

    def _failed(self, why: str) -> None:
        now = time.monotonic()
        if self._ready or now >= self._counts_at:
            self._failures += 1
            self._counts_at = now + self._health.interval
        if self._failures >= self._health.failures:
            self.stop()
            mark(self._rank, False)
            self._on_sick("unhealthy: %s" % why)
        elif self._ready:
            self._later(self._health.interval)
        else:
            self._later(self._pause)
            self._pause = min(self._pause * 2, _SLOWEST, self._health.interval)


def mark(rank: Rank, ready: bool) -> None:
    """Put on record whether a rank is ready."""
    rank.append("h %d %.6f" % (ready, time.time()))
