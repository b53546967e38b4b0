"""Single values: what each place accepts, refused with the mend when it is something else, never converted by guess."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, Protocol

import attrs

from flow_core.spec._report import INVALID, Report, Wrong, nearest
from flow_core.types import parse_duration, parse_size

MAX_INTEGER = 2**63 - 1
"""Largest whole number anywhere: what SQLite, and most readers of JSON, can hold."""

_LONGEST_NUMBER = 32
_MONEY = re.compile(r"\d{1,12}(\.\d{1,30})?", re.ASCII)
_WORDS_OF_1_1 = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


class Kind(Protocol):
    """What stands at a place: how it is read, and its JSON Schema."""

    def read(self, report: Report, path: str, value: object) -> Any:
        """Return the value of ``path``, or INVALID with the problem in ``report``."""

    def schema(self) -> dict[str, object]:
        """Return the JSON Schema of what :meth:`read` accepts."""


@attrs.frozen(eq=False, repr=False)
class Scalar:
    """A single value, read by ``parse``, which raises :class:`Wrong`."""

    parse: Callable[[object], Any]
    shape: Mapping[str, object]

    def read(self, report: Report, path: str, value: object) -> Any:
        """Return what ``parse`` makes of ``value``."""
        try:
            return self.parse(value)
        except Wrong as error:
            report.wrong(path, error)
            return INVALID

    def schema(self) -> dict[str, object]:
        """Return the JSON Schema of the value."""
        return dict(self.shape)


def describe(value: object) -> str:
    """Return ``value`` as a message names it: ``the number 1.5``, ``text "x"``, ``a list``."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float, Decimal)):
        return f"the number {_shorten(value)}"
    if isinstance(value, str):
        return f'the text "{_shorten(value)}"'
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, (list, tuple)) else f"a {type(value).__name__}"


def wrong_type(expected: str, value: object, hint: str = "") -> Wrong:
    """Return the refusal of a value that is of another type than ``expected``."""
    if value is None:
        return Wrong(
            f"has no value; it must be {expected}",
            hint or "write a value or leave the line out",
            "WRONG_TYPE",
        )
    return Wrong(f"must be {expected}, not {describe(value)}", hint, "WRONG_TYPE")


def quote_it(value: object) -> str:
    """Return the mend for what YAML took for another thing than text; "" where quotes would not do."""
    return f'quote it: "{_plain(value)}"' if isinstance(value, (bool, int, float)) else ""


def text(value: object) -> str:
    """Read text; numbers and true/false are refused with "quote it"."""
    if not isinstance(value, str):
        raise wrong_type("text", value, quote_it(value))
    if "\0" in value:
        raise Wrong("holds a NUL byte, which no command, file name or variable can", code="NUL")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise Wrong("is not valid Unicode", "write it as UTF-8", "NOT_UTF8")
    return str(value)


def filled(value: object) -> str:
    """Read text that is not blank."""
    word = text(value)
    if not word.strip():
        raise Wrong("is blank", "write a value or leave it out")
    return word


def matching(pattern: str, expected: str, fit: Callable[[str], str] | None = None) -> Callable[[object], str]:
    """Return a reader of text that ``pattern`` matches in full; ``fit`` offers the nearest text that would do."""
    compiled = re.compile(pattern, re.ASCII)

    def parse(value: object) -> str:
        word = text(value)
        if compiled.fullmatch(word):
            return word
        better = fit(word) if fit else ""
        raise Wrong(f"{quoted(word)} is not {expected}", f"write `{better}`" if better else "")

    return parse


def one_of(words: Collection[str]) -> Callable[[object], str]:
    """Return a reader of one of ``words``."""
    expected = " or ".join((", ".join(list(words)[:-1]), list(words)[-1]))

    def parse(value: object) -> str:
        if not isinstance(value, str):
            raise wrong_type(expected, value, 'write "no"' if value is False and "no" in words else "")
        word = text(value)
        if word not in words:
            raise Wrong(f"{quoted(word)} is not {expected}", _meant(word, words), "UNKNOWN_WORD")
        return word

    return parse


def boolean(value: object) -> bool:
    """Read true or false, and nothing that merely looks like it."""
    if not isinstance(value, bool):
        meant = _WORDS_OF_1_1.get(value.lower(), value.lower()) if isinstance(value, str) else ""
        raise wrong_type("true or false", value, f"write {meant}" if meant in ("true", "false") else "")
    return value


def integer(low: int, high: int = MAX_INTEGER) -> Callable[[object], int]:
    """Return a reader of a whole number from ``low`` to ``high``; true is not 1, 2.7 and "2" are not 2."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type("a whole number", value, _number_hint(value))
        if not low <= value <= high:
            limits = f"{low} to {high}" if high < MAX_INTEGER else f"at least {low}"
            raise Wrong(f"is {_shorten(value)}, must be {limits}", code="OUT_OF_RANGE")
        return int(value)

    return parse


def number(low: float = 0.0, *, above: bool = False) -> Callable[[object], float]:
    """Return a reader of a finite number of at least (or ``above``) ``low``."""
    return lambda value: _within(_finite(value, "a number"), low, above=above)


def duration(*, above_zero: bool) -> Callable[[object], float]:
    """Return a reader of seconds: a number, or text as ``1h30m``."""

    def parse(value: object) -> float:
        seconds = (
            _units(parse_duration, value, "a duration") if isinstance(value, str) else _finite(value, "a duration")
        )
        return _within(float(seconds), 0.0, above=above_zero)

    return parse


def size(value: object) -> int:
    """Read bytes: a whole number above 0, or text as ``16GiB``."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise wrong_type("a size", value, 'write it with its unit, as "16GiB", or as a whole number of bytes')
    count = int(_units(parse_size, value, "a size")) if isinstance(value, str) else value
    if not 0 < count <= MAX_INTEGER:
        raise Wrong(f"is {_shorten(value)}, must be above 0 and below 8 EiB", code="OUT_OF_RANGE")
    return int(count)


def money(value: object) -> Decimal:
    """Read USD, above 0: a number, a Decimal, or its text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        raise wrong_type("an amount in USD", value)
    word = (
        text(value)
        if isinstance(value, str)
        else _written_out(Decimal(repr(value) if isinstance(value, float) else value))
    )
    if not _MONEY.fullmatch(word):
        raise Wrong(f"{quoted(word)} is not an amount in USD above 0", "write it as 2.50")
    amount = Decimal(word)
    if not amount:
        raise Wrong("is 0, must be above 0", code="OUT_OF_RANGE")
    return amount


def _written_out(amount: Decimal) -> str:
    """``amount`` without an exponent, unless that would be very long."""
    return format(amount, "f") if amount.is_finite() and abs(amount.adjusted()) < _LONGEST_NUMBER else str(amount)


def quoted(word: str) -> str:
    """Return ``word`` for a message, shortened where it is long."""
    return f'"{_shorten(word)}"'


def _units(parse: Callable[[str], float], value: str, expected: str) -> float:
    if len(value) > _LONGEST_NUMBER:
        raise Wrong(f"{quoted(value)} is not {expected}")
    try:
        return parse(text(value))
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise Wrong(message, hint) from error


def _finite(value: object, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(expected, value, _number_hint(value))
    if abs(value) > MAX_INTEGER or not math.isfinite(value):
        raise Wrong(f"is {_shorten(value)}, must be a number below 9.2e18", code="OUT_OF_RANGE")
    return float(value)


def _within(value: float, low: float, *, above: bool) -> float:
    if value < low or (above and value == low) or value > MAX_INTEGER:
        raise Wrong(
            f"is {_plain(value)}, must be {'above' if above else 'at least'} {_plain(low)}",
            code="OUT_OF_RANGE",
        )
    return value + 0.0  # -0.0 becomes 0.0: equal records have equal text


def _meant(word: str, words: Collection[str]) -> str:
    near = nearest(word, words)
    return f"write {near}" if near else ""


def _number_hint(value: object) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"write {round(value)}" if value == round(value) else ""
    if not isinstance(value, str):
        return ""
    plain = value.strip().replace("_", "").replace(",", "")
    return f"write {plain} without quotes" if re.fullmatch(r"-?[1-9]\d{0,17}|0", plain, re.ASCII) else ""


def _plain(value: object) -> str:
    """``value`` as it is written in a file."""
    if isinstance(value, bool):
        return str(value).lower()
    return _shorten(int(value) if isinstance(value, float) and value.is_integer() else value)


def _shorten(value: object) -> str:
    if isinstance(value, int) and abs(value) > 10**30:
        return "a number of more than 30 digits"
    word = repr(value)[1:-1] if isinstance(value, str) else str(value)
    return word if len(word) <= 60 else f"{word[:57]}..."
