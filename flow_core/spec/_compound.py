"""Lists, mappings and records: every part is read, whatever is wrong with the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from flow_core.spec._report import INVALID, Report, Wrong, join
from flow_core.spec._scalar import MAX_INTEGER, Kind, describe, text, wrong_type

_DEEPEST = 32


@attrs.frozen(eq=False, repr=False)
class Listing:
    """A list of ``item``; what cannot be read stands there as INVALID, so that the others keep their numbers."""

    item: Kind
    example: str = ""

    def read(self, report: Report, path: str, value: object) -> Any:
        """Return the items as a tuple."""
        if not isinstance(value, (list, tuple)):
            report.wrong(path, wrong_type("a list", value, f"write [{self.example}]" if self.example else ""))
            return INVALID
        return tuple(self.item.read(report, f"{path}[{index}]", item) for index, item in enumerate(value))

    def schema(self) -> dict[str, object]:
        """Return the JSON Schema of the list."""
        return {"type": "array", "items": self.item.schema()}


@attrs.frozen(eq=False, repr=False)
class Mapped:
    """A mapping of names, read by ``key``, to values; at most ``most`` of them."""

    key: Callable[[object], str]
    value: Kind
    pattern: str
    most: int = 1_000_000

    def read(self, report: Report, path: str, value: object) -> Any:
        """Return the mapping, without the entries that could not be read."""
        if not isinstance(value, Mapping):
            report.wrong(path, wrong_type("a mapping of names to values", value))
            return INVALID
        if len(value) > self.most:
            report.add(path, "OUT_OF_RANGE", f"has {len(value)} entries, at most {self.most} are possible")
        return {name: self._entry(report, join(path, name), name, item) for name, item in value.items()}

    def _entry(self, report: Report, path: str, name: object, item: object) -> Any:
        try:
            self.key(name)
        except Wrong as error:
            report.wrong(path, error)
        return self.value.read(report, path, item)

    def schema(self) -> dict[str, object]:
        """Return the JSON Schema of the mapping."""
        shape: dict[str, object] = {"type": "object", "additionalProperties": self.value.schema()}
        shape["propertyNames"] = {"pattern": f"^(?:{self.pattern})$"}
        return shape | ({"maxProperties": self.most} if self.most < 1_000_000 else {})


@attrs.frozen(eq=False, repr=False)
class Record:
    """A mapping that becomes ``build``; ``expand`` turns its short text form into that mapping."""

    build: type
    fields: Mapping[str, Kind]
    required: tuple[str, ...] = ()
    expand: Callable[[object], Mapping[str, object]] | None = None
    short: Mapping[str, object] | None = None
    rule: Callable[[Report, str, Mapping[str, Any]], None] = attrs.field(default=lambda *_: None)
    nullable: tuple[str, ...] = ()

    def read(self, report: Report, path: str, value: object) -> Any:
        """Return the record."""
        try:
            given = self._mapping(value)
        except Wrong as error:
            report.wrong(path, error)
            return INVALID
        found = self._fields(report, path, given)
        before = len(report.problems)
        self.rule(report, path, found)
        if INVALID in found.values() or len(report.problems) > before:
            return INVALID
        return self.build(**found)

    def _mapping(self, value: object) -> Mapping[Any, object]:
        if isinstance(value, Mapping):
            return value
        if attrs.has(type(value)):
            return dict(_given(value))
        if self.expand and isinstance(value, (str, int)) and not isinstance(value, bool):
            return dict(self.expand(value))
        raise wrong_type("a mapping" + (" or its short text" if self.short else ""), value)

    def _fields(self, report: Report, path: str, given: Mapping[Any, object]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in given.items():
            if name not in self.fields:
                report.add(join(path, name), "UNKNOWN_KEY", f"unknown word `{name}`", report.suggest(name, self.fields))
            elif value is None and name in self.nullable:
                found[str(name)] = None
            elif value is not None or not is_optional(self.build, str(name)):
                found[str(name)] = self.fields[str(name)].read(report, join(path, name), value)
        for name in self.required:
            if name not in found:
                report.add(path, "MISSING", f"`{name}` is missing")
                found[name] = INVALID
        return found

    def schema(self) -> dict[str, object]:
        """Return the JSON Schema of the mapping, or of its short form."""
        shape: dict[str, object] = {
            "type": "object",
            "properties": {name: or_null(kind, self._may_be_null(name)) for name, kind in self.fields.items()},
            "additionalProperties": False,
        }
        if self.required:
            shape["required"] = list(self.required)
        return {"anyOf": [self.short, shape]} if self.short else shape

    def _may_be_null(self, name: str) -> bool:
        return name in self.nullable or is_optional(self.build, name)


@attrs.frozen(eq=False, repr=False)
class Section:
    """A provider's own words: any data that JSON can say, by name. Its meaning is the provider's to check."""

    def read(self, report: Report, path: str, value: object) -> Any:
        """Return the section as read-only data."""
        if not isinstance(value, Mapping):
            report.wrong(path, wrong_type("a mapping of options", value))
            return INVALID
        before = len(report.problems)
        found = self._data(report, path, value, 0)
        return found if len(report.problems) == before else INVALID

    def _data(self, report: Report, path: str, value: object, depth: int) -> Any:
        if depth > _DEEPEST:
            report.add(path, "TOO_DEEP", f"is nested more than {_DEEPEST} deep")
            return INVALID
        if isinstance(value, Mapping):
            return MappingProxyType({key: self._entry(report, path, key, item, depth) for key, item in value.items()})
        if isinstance(value, (list, tuple)):
            return tuple(self._data(report, f"{path}[{index}]", item, depth + 1) for index, item in enumerate(value))
        return self._scalar(report, path, value)

    def _entry(self, report: Report, path: str, key: object, value: object, depth: int) -> Any:
        here = join(path, key)
        try:
            text(key)
        except Wrong as error:
            report.add(here, error.code, f"the name {error.message}", error.hint)
        return self._data(report, here, value, depth + 1)

    def _scalar(self, report: Report, path: str, value: object) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            if abs(value) > MAX_INTEGER or not math.isfinite(value):
                report.add(path, "OUT_OF_RANGE", "is not a number that JSON can say")
            return value
        try:
            return text(value)
        except Wrong as error:
            other = not isinstance(value, str)
            report.add(path, error.code, f"is {describe(value)}, not plain data" if other else error.message)
            return INVALID

    def schema(self) -> dict[str, object]:
        """Return the JSON Schema of any section."""
        return {"type": "object"}


def _given(record: object) -> list[tuple[str, object]]:
    names = [field.name for field in attrs.fields(type(record))]  # type: ignore[arg-type]
    return [(name, getattr(record, name)) for name in names]


def is_optional(record: type, name: str) -> bool:
    """Say whether ``name`` may be left empty, because by default it is nothing."""
    default = attrs.fields_dict(record)[name].default
    return default in (None, ()) or isinstance(default, Mapping) or attrs.has(type(default))


def or_null(kind: Kind, optional: bool) -> dict[str, object]:
    """Return the schema of ``kind``, or of null where it is ``optional``."""
    return {"anyOf": [kind.schema(), {"type": "null"}]} if optional else kind.schema()
