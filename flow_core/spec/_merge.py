"""The command line over a file: both as the user wrote them, before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flow_core.spec._fields import FIELDS, SHORT_WORDS

_BY_KEY = ("env", "labels", "resources")
_APPENDED = ("mounts", "volumes", "secrets", "ports", "outputs", "depends_on")
_IN_RESOURCES = tuple(word for word in SHORT_WORDS if word != "gpu")


def merge(base: Mapping[str, object], override: Mapping[str, object]) -> dict[str, object]:
    """Return ``base`` with ``override`` laid over it; both are user-form mappings and stay as they are.

    Scalars replace, ``env``, ``labels``, ``resources`` and providers' options merge key by key, lists are appended.
    A short word replaces the word it stands for. What is of the wrong type in ``base`` stays, so that it is reported.
    """
    merged = _without_rivals(base, override)
    for word, value in override.items():
        if value is None:
            continue
        if word == "options" and isinstance(value, Mapping):
            _lay_options(merged, value)
        else:
            merged[word] = _laid_over(word, merged.get(word), value)
    return merged


def _laid_over(word: str, old: Any, new: Any) -> object:
    if old is None:
        return new
    if word in _BY_KEY or (word not in FIELDS and isinstance(new, Mapping)):
        return _deep(old, new) if isinstance(old, Mapping) and isinstance(new, Mapping) else old
    if word in _APPENDED:
        both = isinstance(old, (list, tuple)) and isinstance(new, (list, tuple))
        return [*old, *new] if both else old
    if word == "code" and isinstance(old, Mapping):
        return {**old, **(new if isinstance(new, Mapping) else {"mode": new})}
    return new


def _deep(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _deep(merged[key], value) if nested else value
    return merged


def _lay_options(merged: dict[str, object], sections: Mapping[str, object]) -> None:
    """Put each section over the place where ``merged`` has it: under its own name, or under ``options``."""
    for name, section in sections.items():
        if name in merged and name not in FIELDS:
            merged[name] = _laid_over(name, merged[name], section)
        else:
            options = merged.get("options") or {}
            if isinstance(options, Mapping):
                merged["options"] = {**options, name: _laid_over(name, options.get(name), section)}


def _without_rivals(base: Mapping[str, object], override: Mapping[str, object]) -> dict[str, object]:
    """Return ``base`` without what ``override`` says by the other of two words for one thing."""
    given = {word for word, value in override.items() if value is not None}
    rivals = {"gpu": "instance_type", "instance_type": "gpu"}
    merged = {word: value for word, value in base.items() if rivals.get(word) not in given}
    resources = merged.get("resources")
    if isinstance(resources, Mapping):
        merged["resources"] = {word: value for word, value in resources.items() if word not in given & {*_IN_RESOURCES}}
    new = override.get("resources")
    for word in _IN_RESOURCES if isinstance(new, Mapping) else ():
        if isinstance(new, Mapping) and new.get(word) is not None:
            merged.pop(word, None)
    return merged
