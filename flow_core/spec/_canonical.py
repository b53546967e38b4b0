"""The one text form of a config: what the journal keeps, and what an idempotency key stands for."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from flow_core.types import SecretRef, TaskConfig

if TYPE_CHECKING:
    import cattrs

_LARGEST_EXACT = 2.0**53


def to_mapping(config: TaskConfig) -> dict[str, object]:
    """Return ``config`` as JSON data: full words, defaults left out, whole floats as integers, money as text.

    Equal configs give equal mappings. :func:`from_mapping` reads it back; :func:`read_mapping` too, unless it holds a
    function.
    """
    return _plain_record(config)


def user_form(config: TaskConfig) -> dict[str, object]:
    """Return ``config`` for :func:`read_mapping`, to be read again after a change; a function stays the record it is."""
    mapping = to_mapping(config)
    return mapping if config.function is None else {**mapping, "function": config.function}


def from_mapping(data: Mapping[str, object]) -> TaskConfig:
    """Return the config that :func:`to_mapping` made ``data`` from. For data of our own: nothing is checked again."""
    return _converter().structure(data, TaskConfig)


def fingerprint(config: TaskConfig) -> str:
    """Return the SHA-256 (hex) of the canonical JSON: the same for equal configs, on every machine."""
    text = json.dumps(to_mapping(config), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _plain_record(record: Any) -> dict[str, object]:
    # By hand, for every submit goes through here: importing cattrs and compiling its functions takes 15 ms.
    found: dict[str, object] = {}
    for field in attrs.fields(type(record)):
        value = getattr(record, field.name)
        if value is not field.default and not _is_default(record, field, value):
            found[field.name] = _plain(value)
    return found


def _is_default(record: Any, field: attrs.Attribute[Any], value: object) -> bool:
    default: Any = field.default
    if isinstance(record, SecretRef) and field.name == "env":
        return record.file is None and value == record.name  # beside a file, a variable is said
    if not hasattr(default, "takes_self"):
        return bool(value == default)
    return bool(value == default.factory(record))


def _plain(value: Any) -> object:
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _LARGEST_EXACT else value
    if isinstance(value, Decimal):
        return _plain_amount(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else _plain_record(value)


def _plain_amount(value: Decimal) -> str:
    word = format(value, "f")
    return word.rstrip("0").rstrip(".") if "." in word else word


def _read_only(value: Any) -> Any:
    if isinstance(value, dict):
        return MappingProxyType({key: _read_only(item) for key, item in value.items()})
    return tuple(_read_only(item) for item in value) if isinstance(value, list) else value


@functools.cache
def _converter() -> cattrs.Converter:
    import cattrs

    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(
        str | tuple[str, ...] | None, lambda value, _: tuple(value) if isinstance(value, list) else value
    )
    converter.register_structure_hook(Decimal, lambda value, _: Decimal(value))
    converter.register_structure_hook_func(
        lambda kind: bool(kind == Mapping[str, Mapping[str, object]]),
        lambda value, _: {name: _read_only(section) for name, section in value.items()},
    )
    return converter
