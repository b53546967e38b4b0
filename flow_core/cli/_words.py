"""Times and amounts as people read them, and as programs can sort them."""

from __future__ import annotations

import time
from decimal import Decimal

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def stamp(moment: float | None) -> str:
    """Return ``2025-11-23T12:00:00Z`` for UTC seconds, an empty text for None."""
    return "" if moment is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def span(seconds: float) -> str:
    """Return the two largest units of a duration: ``1h30m``, ``2d4h``, ``45s``; tenths below ten seconds."""
    if 0 <= seconds < 9.95:
        return f"{seconds:.1f}s"
    left, parts = round(max(seconds, 0)), []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"


def ago(moment: float | None, now: float) -> str:
    """Return ``3m ago`` for UTC seconds."""
    if moment is None:
        return ""
    passed = round(now - moment)
    unit, size = next(((unit, size) for unit, size in _UNITS if passed >= size), ("", 1))
    return f"{passed // size}{unit} ago" if unit else "now"


def money(amount: Decimal | None) -> str:
    """Return ``19.90`` for USD per hour, an empty text when it is not known."""
    return "" if amount is None else f"{amount:.2f}"
