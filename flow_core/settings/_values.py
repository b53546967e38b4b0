"""Reads one value by the type of its setting: strictly, but for text that came from a variable or the command line."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from math import isfinite
from pathlib import Path
from typing import Any

from flow_core.settings._model import Text, did_you_mean
from flow_core.types import parse_duration, parse_size

Units = Mapping[str, Callable[[str], float]]
UNITS: Units = {"duration": parse_duration, "size": parse_size}
"""What ``metadata={"unit": …}`` of a number may be: it is then also written 90s or 16GiB."""

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_LISTS = (list, tuple, Sequence, frozenset, set)
_MAPPINGS = (dict, Mapping)


class Wrong(Exception):  # noqa: N818 - never leaves this package
    """A value is not what its setting asks for."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def read(kind: Any, value: object, unit: str = "") -> Any:
    """Return ``value`` as the type ``kind``. Raises :class:`Wrong`; TypeError when ``kind`` cannot be a setting's type.

    Kinds: str, int, float, bool, Path, Decimal, Literal, lists and tuples, mappings, unions and None of these, Any.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in (Any, object):
        return value
    if origin in (typing.Union, types.UnionType):
        return _any_of(arguments, value, unit)
    if origin is typing.Literal:
        return _word(tuple(str(word) for word in arguments), value)
    if kind in _LISTS or origin in _LISTS:
        return _items(origin or kind, arguments, value, unit)
    if kind in _MAPPINGS or origin in _MAPPINGS:
        return _mapping(arguments, value, unit)
    if kind not in _SCALARS:
        raise TypeError(f"{kind} cannot be the type of a setting")
    if unit and isinstance(value, str):
        return _measured(kind, value, unit)
    return _SCALARS[kind](value)


def nested(kind: Any) -> type | None:
    """Return the attrs class that ``kind`` is, or is beside None; None for all else."""
    inner = [part for part in typing.get_args(kind) if part is not type(None)] or [kind]
    return inner[0] if len(inner) == 1 and isinstance(inner[0], type) and hasattr(inner[0], "__attrs_attrs__") else None


def described(value: object) -> str:
    """Return ``value`` as a message names it; never what a variable says, which may be a secret."""
    if isinstance(value, Text):
        return "that text"
    if value is None:
        return "empty"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return f'the text "{shown[:40]}"' if isinstance(value, str) else shown[:40]


def _expected(what: str, value: object, hint: str = "") -> Wrong:
    return Wrong(f"must be {what}, not {described(value)}", hint)


def _any_of(kinds: Sequence[Any], value: object, unit: str) -> Any:
    if type(None) in kinds and value is None:
        return None
    wrongs = []
    for kind in sorted((kind for kind in kinds if kind is not type(None)), key=lambda kind: kind is str):
        try:
            return read(kind, value, unit)
        except Wrong as wrong:
            wrongs.append(wrong)
    if len(wrongs) == 1:
        raise wrongs[0]
    raise Wrong(" or ".join(wrong.message for wrong in wrongs), wrongs[0].hint)


def _word(words: tuple[str, ...], value: object) -> str:
    if isinstance(value, bool):  # YAML 1.1 reads these words so
        meant = [word for word in words if word in _WORDS and _WORDS[word] is value]
        raise _expected(" or ".join(words), value, f'write "{meant[0]}"' if meant else "")
    if str(value) not in words:
        raise _expected(" or ".join(words), value, did_you_mean(value, words) if isinstance(value, str) else "")
    return str(value)


def _items(kind: Any, arguments: tuple[Any, ...], value: object, unit: str) -> Any:
    if isinstance(value, Text):
        value = [Text(part.strip()) for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)):
        raise _expected("a list", value, f"write [{value}]" if isinstance(value, (str, int)) else "")
    inner = arguments[0] if arguments else Any
    found = [read(inner, item, unit) for item in value]
    return found if kind is list else frozenset(found) if kind in (set, frozenset) else tuple(found)


def _mapping(arguments: tuple[Any, ...], value: object, unit: str) -> Mapping[str, Any]:
    if isinstance(value, Text):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if not all(equals for _, equals, _ in pairs):
            raise Wrong("must be KEY=VALUE,KEY=VALUE")
        value = {key.strip(): Text(text.strip()) for key, _, text in pairs}
    if not isinstance(value, Mapping):
        raise _expected("a mapping", value)
    inner = arguments[1] if len(arguments) > 1 else Any
    return types.MappingProxyType({key: _entry(inner, key, item, unit) for key, item in value.items()})


def _entry(kind: Any, key: str, value: object, unit: str) -> Any:
    try:
        return read(kind, value, unit)
    except Wrong as wrong:
        raise Wrong(f"{key} {wrong.message}", wrong.hint) from wrong


def _measured(kind: Any, value: str, unit: str) -> Any:
    try:
        return kind(UNITS[unit](value))
    except ValueError as error:
        raise Wrong(str(error) if not isinstance(value, Text) else f"is not a {unit}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        quotable = isinstance(value, (bool, int, float))
        raise _expected("text", value, f'quote it: "{described(value)}"' if quotable else "")
    return str.__str__(value)


def _whole(value: object) -> int:
    if isinstance(value, Text) and value.strip().lstrip("+-").isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _expected(
            "a whole number", value, "leave out the quotes" if isinstance(value, str) and value.isdecimal() else ""
        )
    return value


def _number(value: object) -> float:
    return float(_decimal(value))


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, Text)):
        raise _expected("a number", value)
    try:
        number = Decimal(str.__str__(value).strip() if isinstance(value, Text) else str(value))
    except InvalidOperation as error:
        raise _expected("a number", value) from error
    if not number.is_finite() or not isfinite(float(number)):
        raise _expected("a finite number", value)
    return number


def _truth(value: object) -> bool:
    if isinstance(value, Text) and value.strip().lower() in _WORDS:
        return _WORDS[value.strip().lower()]
    if not isinstance(value, bool):
        raise _expected("true or false", value)
    return value


def _path(value: object) -> Path:
    if not isinstance(value, str) or not value:
        raise _expected("a path", value)
    return Path(str.__str__(value))


_SCALARS: Mapping[Any, Callable[[object], Any]] = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _truth,
    Path: _path,
    Decimal: _decimal,
}
