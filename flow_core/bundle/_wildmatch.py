"""Gitignore patterns exactly as git reads them.

Source: gitignore(5) and git's ``dir.c`` and ``wildmatch.c`` behaviour. pathspec was measured to differ: it knows no
``[[:alpha:]]``, counts characters where git counts bytes, and lets ``!a/`` bring back what lies below ``a``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_POSIX = {
    b"alnum": b"0-9A-Za-z",
    b"alpha": b"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": b"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": b"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"!-/:-@\[-`{-~",
    b"space": rb" \t\n\r\f\v",
    b"upper": b"A-Z",
    b"xdigit": b"0-9A-Fa-f",
}
_NEVER = b"(?!)"


class Pattern(NamedTuple):
    """One line of an ignore file. ``whole``: it speaks of the path below its file, else of the last name alone."""

    regex: re.Pattern[bytes]
    negated: bool
    folders_only: bool
    whole: bool


def parse(data: bytes) -> tuple[Pattern, ...]:
    """Read an ignore file, last line first: the first match decides."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return tuple(pattern for line in reversed(lines) for pattern in _pattern(line))


def parse_lines(lines: Iterable[str]) -> tuple[Pattern, ...]:
    """Read patterns given as text, last one first."""
    return parse("\n".join(lines).encode("utf-8", "surrogateescape"))


def verdict(patterns: Iterable[Pattern], path: bytes, is_folder: bool) -> bool | None:
    """Return whether ``path`` (relative to the patterns' folder) is matched; None when no pattern speaks of it."""
    name = path.rpartition(b"/")[2]
    for pattern in patterns:
        if (is_folder or not pattern.folders_only) and pattern.regex.fullmatch(path if pattern.whole else name):
            return not pattern.negated
    return None


def matches(patterns: tuple[Pattern, ...], path: str) -> bool:
    """Say whether a file is matched, by itself or through the outermost matched folder around it."""
    parts = path.encode("utf-8", "surrogateescape").split(b"/")
    folders = (b"/".join(parts[:depth]) for depth in range(1, len(parts)))
    if any(verdict(patterns, folder, True) for folder in folders):
        return True
    return bool(verdict(patterns, b"/".join(parts), False))


def _pattern(line: bytes) -> Iterator[Pattern]:
    text = _trimmed(line.removesuffix(b"\r"))
    if not text or text.startswith(b"#"):
        return
    negated = text.startswith(b"!")
    text = text[1:] if negated else text
    folders_only = text.endswith(b"/")
    text = text[:-1] if folders_only else text
    whole = b"/" in text
    if text:
        yield Pattern(re.compile(_translate(text.removeprefix(b"/"), whole), re.DOTALL), negated, folders_only, whole)


def _trimmed(line: bytes) -> bytes:
    """Drop trailing spaces that no backslash protects."""
    bare = line.rstrip(b" ")
    slashes = len(bare) - len(bare.rstrip(b"\\"))
    return line[: len(bare) + 1] if slashes % 2 and bare != line else bare


def _translate(text: bytes, whole: bool) -> bytes:
    parts, at = [], 0
    any_one, any_run = (b"[^/]", b"[^/]*") if whole else (b".", b".*")
    while at < len(text):
        char = text[at : at + 1]
        if char == b"*":
            part, at = _stars(text, at, whole, any_run)
        elif char == b"?":
            part, at = any_one, at + 1
        elif char == b"[":
            part, at = _bracket(text, at + 1, whole)
        elif char == b"\\":
            part, at = (re.escape(text[at + 1 : at + 2]) or _NEVER), at + 2
        else:
            part, at = re.escape(char), at + 1
        parts.append(part)
    return b"".join(parts)


def _stars(text: bytes, at: int, whole: bool, any_run: bytes) -> tuple[bytes, int]:
    end = at
    while text[end : end + 1] == b"*":
        end += 1
    alone = at == 0 or text[at - 1 : at] == b"/"
    if not whole or end - at < 2 or not alone:
        return any_run, end
    if end == len(text):
        return b".*", end
    if text[end : end + 1] == b"/":
        return b"(?:.*/)?", end + 1
    return any_run, end


def _bracket(text: bytes, at: int, whole: bool) -> tuple[bytes, int]:
    """Translate a character class; one that is not closed matches nothing."""
    negated = text[at : at + 1] in (b"!", b"^")
    at += negated
    items: list[bytes] = []
    first = True
    while first or text[at : at + 1] != b"]":
        item, at = _class_item(text, at)
        if item is None:
            return _NEVER, len(text)
        items.append(item)
        first = False
    inside = b"".join(items)
    one = (b"[^" + inside + b"]" if inside else b".") if negated else (b"[" + inside + b"]" if inside else _NEVER)
    return (b"(?!/)" if whole else b"") + one, at + 1


def _class_item(text: bytes, at: int) -> tuple[bytes | None, int]:
    if text[at : at + 2] == b"[:":
        return _posix(text, at + 2)
    low, at = _class_char(text, at)
    if low is None:
        return None, at
    if text[at : at + 1] == b"-" and text[at + 1 : at + 2] not in (b"", b"]"):
        high, at = _class_char(text, at + 1)
        if high is None:
            return None, at
        return (_hex(low) + b"-" + _hex(high) if low <= high else b""), at
    return _hex(low), at


def _posix(text: bytes, at: int) -> tuple[bytes | None, int]:
    end = text.find(b"]", at)
    if end < 0:
        return None, at
    if text[end - 1 : end] != b":" or end - 1 < at:
        return _hex(b"["), at - 1  # not a class after all: a plain bracket, then what follows
    return _POSIX.get(text[at : end - 1]), end + 1


def _class_char(text: bytes, at: int) -> tuple[bytes | None, int]:
    at += text[at : at + 1] == b"\\"
    char = text[at : at + 1]
    return (char or None), at + 1


def _hex(char: bytes) -> bytes:
    return b"\\x%02x" % char[0]
