"""A clock that can be sped up and moved on."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone


class Clock:
    """Begins at the real time; ``speed`` of its seconds pass in one of ours."""

    def __init__(self) -> None:
        self.speed = 1.0
        self._base = time.time()
        self._from = time.monotonic()

    def time(self) -> float:
        """Return its time in seconds since 1970."""
        return self._base + (time.monotonic() - self._from) * self.speed

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), timezone.utc)

    def stamp(self, after: float = 0.0) -> str:
        """Return the time ``after`` seconds from now, as the service writes times."""
        return written(self.now() + timedelta(seconds=after))

    def run(self, speed: float) -> None:
        """Run ``speed`` times as fast from now on."""
        self._base, self._from, self.speed = self.time(), time.monotonic(), speed

    def advance(self, seconds: float) -> None:
        self._base += seconds


def written(moment: datetime) -> str:
    """Return ``moment`` in ISO 8601 with its zone; all are as long as each other, so that they sort as text."""
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


def read(text: str) -> datetime:
    """Return the moment of an ISO 8601 text; :class:`ValueError` when it has no zone."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment
