"""JSON with positions: the standard library reads every word, this finds where each one stands."""

from __future__ import annotations

import json
import re
from typing import Any

from flow_core.spec._document import Document, Unreadable

_BLANK = re.compile(r"[ \t\r\n]*")
_LONGEST_INTEGER = 300


def is_json(text: str) -> bool:
    """Say whether ``text`` is JSON."""
    try:
        _decoder().decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def read(document: Document) -> object:
    """Return the data of ``document``, with a position for every key and item."""
    start = _skip(document.text, 0)
    try:
        _decoder().decode(document.text)
    except json.JSONDecodeError as error:
        raise Unreadable(error.pos, "SYNTAX", f"is not JSON: {error.msg}") from error
    except RecursionError as error:
        raise Unreadable(start, "TOO_DEEP", "is nested too deep") from error
    document.positions[""] = document.place(start)
    return _value(document, "", start, 0)[0]


def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(parse_int=_integer)


def _integer(digits: str) -> int | float:
    # int() refuses more than 4,300 digits; such a number is out of every range anyway, infinity says so.
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float("inf")


def _skip(text: str, index: int) -> int:
    found = _BLANK.match(text, index)
    return found.end() if found else index


def _value(document: Document, path: str, index: int, depth: int) -> tuple[Any, int]:
    """Return the value at ``index`` and the index behind it; the text is known to be JSON."""
    document.enter(index, depth)
    if document.text[index] == "{":
        return _object(document, path, index, depth)
    if document.text[index] == "[":
        return _array(document, path, index, depth)
    return _decoder().raw_decode(document.text, index)


def _object(document: Document, path: str, index: int, depth: int) -> tuple[dict[str, object], int]:
    text, found = document.text, dict[str, object]()
    index = _skip(text, index + 1)
    while text[index] != "}":
        key, after = _decoder().raw_decode(text, index)
        here = document.entry(found, path, key, index)
        value, index = _value(document, here or path, _skip(text, _skip(text, after) + 1), depth + 1)
        if here is not None:
            found[key] = value
        index = _next(text, index)
    return found, index + 1


def _array(document: Document, path: str, index: int, depth: int) -> tuple[list[object], int]:
    text, found = document.text, list[object]()
    index = _skip(text, index + 1)
    while text[index] != "]":
        here = f"{path}[{len(found)}]"
        document.positions[here] = document.place(index)
        value, index = _value(document, here, index, depth + 1)
        found.append(value)
        index = _next(text, index)
    return found, index + 1


def _next(text: str, index: int) -> int:
    """Return the index of what follows a value: the next one, behind its comma, or the closing bracket."""
    index = _skip(text, index)
    return _skip(text, index + 1) if text[index] == "," else index
