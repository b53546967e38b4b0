"""The keys of a task, from the fields of its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from _reference.markdown import code, default, fields, page, prose, table
from flow_core.spec import _short, flags
from flow_core.spec._fields import SHORT_WORDS
from flow_core.types import CodeSpec, HealthSpec, Mount, PortSpec, Resources, SecretRef, TaskConfig, VolumeSpec

_INTRO = """
A task file is YAML or JSON with these keys; in Python they are the keywords of `flow.run` and `flow.submit`. Values are
never converted: `"2"` is no number, `yes` is no text. Where the option says TIME, write seconds or `90s`, `1h30m`,
`2d`, `2-12:00:00`; where it says SIZE, bytes or `512MiB`, `100GB`. A key that is not listed is an error, unless it is
the name of an installed provider: then it is that provider's own section (`options` in Python). `flow schema task`
prints the JSON Schema for an editor.
"""
_SHORT = {
    Mount: _short.mount,
    VolumeSpec: _short.volume,
    SecretRef: _short.secret,
    PortSpec: _short.port,
    CodeSpec: _short.code,
}
_PARTS = {
    "resources": Resources,
    "code": CodeSpec,
    "mounts": Mount,
    "volumes": VolumeSpec,
    "secrets": SecretRef,
    "ports": PortSpec,
    "health": HealthSpec,
}


def pages() -> Mapping[str, str]:
    """Return the page."""
    header = ("key", "option", "type", "default", "meaning")
    parts = [_part(key, record) for key, record in _PARTS.items()]
    return {"config.md": page("Task", _INTRO, table(header, _rows()), _short_words(), *parts)}


def _rows() -> Iterator[tuple[str, ...]]:
    for field in attrs.fields(TaskConfig):
        if field.name == "function":
            continue
        word = f"[{code(field.name)}](#{field.name})" if field.name in _PARTS else code(field.name)
        hint = " A provider may ignore it." if field.metadata["hint"] else ""
        yield word, _option(field.name), code(str(field.type)), default(field), field.metadata["help"] + hint


def _option(key: str) -> str:
    for flag in flags():
        if flag.key == key:
            names = ", ".join(filter(None, [flag.short, flag.name])) + (f" / {flag.negative}" if flag.negative else "")
            return code(f"{names} {flag.metavar}".strip()) + (", repeated" if flag.multiple else "")
    return ""


def _short_words() -> str:
    text = "For `resources` there are short words at the top level: " + ", ".join(map(code, SHORT_WORDS))
    return f"{text}. `gpu: a100` is short for `instance_type: a100`; a task says one of the two."


def _part(key: str, record: type[Any]) -> str:
    short = _SHORT.get(record)
    written = "Short text: " + prose(short.__doc__).removeprefix("Read ") if short else ""
    return "\n\n".join(filter(None, [f"## {key}", prose(record.__doc__), written, fields(record)]))
