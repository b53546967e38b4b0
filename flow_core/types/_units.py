"""Durations and sizes as people write them: ``1h30m``, ``2-12:00:00``, ``16GiB``."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]i?b|b)", re.ASCII | re.IGNORECASE)
_BYTES = {
    "b": 1,
    **{f"{p}b": 1000**n for n, p in enumerate("kmgtp", 1)},
    **{f"{p}ib": 1024**n for n, p in enumerate("kmgtp", 1)},
}


def parse_duration(text: str) -> float:
    """Return the seconds that ``text`` means: ``90s``, ``1h30m``, ``2d``, ``2-12:00:00`` or a bare number of seconds.

    Raises ValueError, with the forms that are understood, for anything else.
    """
    word = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", word, re.ASCII):
        return float(word)
    if clock := _CLOCK.fullmatch(word):
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    parts = _DURATION.findall(word)
    if not parts or "".join(number + unit for number, unit in parts) != word:
        raise ValueError(f"{text!r} is not a duration; write 90s, 1h30m, 2d or 2-12:00:00")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def parse_size(text: str) -> int:
    """Return the bytes that ``text`` means: ``512MiB`` (1024s), ``100GB`` (1000s) or a bare number of bytes.

    Raises ValueError, with the forms that are understood, for anything else.
    """
    word = text.strip()
    if re.fullmatch(r"\d+", word, re.ASCII):
        return int(word)
    found = _SIZE.fullmatch(word)
    if not found:
        raise ValueError(f"{text!r} is not a size; write 512MiB, 16GiB or 100GB")
    return int(float(found[1]) * _BYTES[found[2].lower()])


def format_size(count: int) -> str:
    """Return ``count`` bytes for people, in 1024s: ``1.5 GiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{value:.0f} {unit}" if unit == "B" or value == int(value) else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def format_duration(seconds: float) -> str:
    """Return ``seconds`` for people, two units at most: ``1h30m``, ``2d4h``, ``45s``, ``0.2s``."""
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    left, parts = round(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])
