"""Identifiers: made without asking anybody, sortable where people see them."""

from __future__ import annotations

import os
import time

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def _base32(value: int, length: int) -> str:
    return "".join(_CROCKFORD[(value >> 5 * place) & 31] for place in reversed(range(length)))


def _random(bits: int) -> int:
    return int.from_bytes(os.urandom(bits // 8 + 1), "big") & ((1 << bits) - 1)


def new_task_id(now: float | None = None) -> str:
    """Return a task id: ``t``, ten characters of time (ms) and six random ones; ids sort by age and are DNS labels."""
    return "t" + _base32(int((time.time() if now is None else now) * 1000), 10) + _base32(_random(30), 6)


def new_request_id() -> str:
    """Return the id of one submission: ``flow-`` and 26 characters (128 random bits), ``[a-z0-9-]``, never used again."""
    return "flow-" + _base32(_random(128), 26)


def is_request_id(text: str) -> bool:
    """Say whether ``text`` has the form of :func:`new_request_id`."""
    return len(text) == 31 and text.startswith("flow-") and all(c in _CROCKFORD for c in text[5:])
