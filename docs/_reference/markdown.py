"""Markdown from docstrings, records and signatures."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import attrs

NOTE = "<!-- made by docs/generate.py: change the code, not this page -->\n"
_ROLE = re.compile(r":[a-z]+:`(?:~[\w.]+\.)?([\w.]+)`")
_BLOCK = re.compile(r"(?P<lead>[^\n]*)::\n\n(?P<code>(?:[ ]{4}[^\n]*\n|\n)+)")


def page(title: str, *parts: str) -> str:
    """Return a page; empty parts are left out."""
    return f"{NOTE}\n# {title}\n\n" + "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; an empty text when it has no rows."""
    lines = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join([f"| {' | '.join(header)} |", "|" + "---|" * len(header), *lines]) if lines else ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def code(text: str) -> str:
    """Return ``text`` as code within a line; nothing for nothing."""
    return f"`{text}`" if text else ""


def prose(docstring: str | None) -> str:
    """Return a docstring as Markdown: roles and double backquotes become code, literal blocks fenced Python."""
    text = _ROLE.sub(r"`\1`", inspect.cleandoc(docstring or "") + "\n").replace("``", "`")
    return _BLOCK.sub(_fenced, text).strip()


def _fenced(match: re.Match[str]) -> str:
    code_lines = inspect.cleandoc("\n" + match["code"])
    return f"{match['lead']}:\n\n```python\n{code_lines}\n```\n"


def signature(function: Callable[..., Any], name: str = "") -> str:
    """Return a function's signature as it is written, without ``self``."""
    found = inspect.signature(function)
    returns = found.return_annotation
    arrow = "" if returns is inspect.Signature.empty else f" -> {returns}"
    return f"{name or function.__name__}({', '.join(_parameters(found))}){arrow}"


def _parameters(found: inspect.Signature) -> Iterator[str]:
    """Yield the parameters, with ``/`` and ``*`` where by position or by name is all that is allowed."""
    before = None
    for part in found.parameters.values():
        if part.name == "self":
            continue
        if before == part.POSITIONAL_ONLY and part.kind != before:
            yield "/"
        if part.kind == part.KEYWORD_ONLY and before != part.kind:
            yield "*"
        yield _parameter(part)
        before = part.kind


def _parameter(part: inspect.Parameter) -> str:
    stars = "*" if part.kind == part.VAR_POSITIONAL else "**" if part.kind == part.VAR_KEYWORD else ""
    kind = "" if part.annotation is part.empty else f": {part.annotation}"
    shown = "..." if callable(part.default) else repr(part.default)
    default = "" if part.default is part.empty else f" = {shown}"
    return f"{stars}{part.name}{kind}{default}"


def default(field: attrs.Attribute[Any]) -> str:
    """Return how a field's default is written; nothing where it has none."""
    value = field.default
    if value is attrs.NOTHING:
        return ""
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        return "from the others"
    return code(f"{type(value).__name__}()" if attrs.has(type(value)) else repr(value))


def fields(record: type) -> str:
    """Return the table of a record's fields."""
    rows = [
        (code(field.alias or field.name), code(str(field.type)), default(field), _meaning(field))
        for field in attrs.fields(record)
    ]
    if any(row[3] for row in rows):
        return table(("field", "type", "default", "meaning"), rows)
    return table(("field", "type", "default"), (row[:3] for row in rows))


def _meaning(field: attrs.Attribute[Any]) -> str:
    words = field.metadata
    flag = f" Option: {code(' '.join([words['flag'], words['metavar']]))}." if words.get("flag") else ""
    return f"{words.get('help', '')}{flag}"
