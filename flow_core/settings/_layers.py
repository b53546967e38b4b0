"""Layers of settings: each overrides the one before, value by value, and every value remembers its layer."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from flow_core.errors import StateError
from flow_core.settings._document import Positions, parse, read_text
from flow_core.settings._model import Origin, Place, Text
from flow_core.settings._paths import home
from flow_core.types import Problem

PROJECT_FILE = Path(".flow") / "config.yaml"
_PROJECT_KEYS = ("default", "profiles", "result_stores")
_CREDENTIAL_KEYS = ("env", "file", "command")
_SHARED_FOLDER = stat.S_ISVTX | stat.S_IWOTH


@attrs.frozen
class Layer:
    """Values of one source, and the origin of each place in them."""

    values: Mapping[str, Any]
    origin: Callable[[Place], Origin]


def file_layer(layer: str, path: Path) -> Layer | None:
    """Return the layer that the file at ``path`` is, None when there is none. Raises ConfigError and StateError."""
    text = read_text(path)
    if text is None:
        return None
    values, positions = parse(text, str(path))
    return Layer(values, lambda place: _in_file(layer, str(path), positions, place))


def environment_layer(environ: Mapping[str, str], keys: Iterable[str], profiles: Iterable[str]) -> Layer:
    """Return what ``FLOW_<KEY>`` and ``FLOW_PROFILE_<NAME>_<KEY>`` set; ``__`` in KEY goes one level down.

    NAME is the longest of ``profiles`` that fits (``-`` being written ``_``), else everything up to the next ``_``.
    """
    names = {_variable(name): name for name in profiles}
    values: dict[str, Any] = {}
    origins: dict[Place, Origin] = {}
    wanted = {f"FLOW_{_variable(key)}": (key,) for key in keys}
    for variable, text in sorted(environ.items()):
        place = wanted.get(variable) or _profile_place(variable, names)
        if place and text:
            put(values, place, Text(text))
            origins[place] = Origin("environment", name=variable)
    return Layer(values, lambda place: _outer(origins, place, Origin("environment")))


def override_layer(overrides: Mapping[str, object]) -> Layer:
    """Return what the command line sets, by dotted path; text is parsed by the setting's type."""
    values: dict[str, Any] = {}
    origins: dict[Place, Origin] = {}
    for path, value in overrides.items():
        place = tuple(path.split("."))
        put(values, place, Text(value) if isinstance(value, str) else value)
        origins[place] = Origin("command line", name=path)
    return Layer(values, lambda place: _outer(origins, place, Origin("command line")))


def find_project_file(cwd: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the nearest ``.flow/config.yaml`` from ``cwd`` upwards, None when there is none.

    The search ends with the repository's root (a folder with ``.git``), with the home folder, and before a folder like
    ``/tmp``, where anybody could have put one.
    """
    last = _home_or_none(environ)
    for folder in (cwd, *cwd.parents):
        if _is_shared(folder):
            return None
        try:
            if (folder / PROJECT_FILE).is_file():
                return folder / PROJECT_FILE
            if folder == last or (folder / ".git").exists():
                return None
        except PermissionError:  # whoever may not look into a folder has put no file there
            continue
    return None


def refused_in_project(layer: Layer) -> Iterator[Problem]:
    """Yield what a project file may not set, because it comes with a clone and its author is not its user."""
    for key in layer.values:
        if key not in _PROJECT_KEYS:
            message = "cannot be set by a project file, which comes with a clone"
            yield layer.origin((key,)).problem(key, "NOT_IN_PROJECT", message, "set it in your own configuration file")
    for kind in ("profiles", "result_stores"):
        for place, value in _walk(layer.values.get(kind), (kind,)):
            if is_credential(value) and "defaults" not in place[2:3]:
                message = (
                    f"a project file, which comes with a clone, cannot say where a credential is ({next(iter(value))})"
                )
                hint = "set it in your own configuration file, or run `flow login`"
                yield layer.origin(place).problem(".".join(place), "NOT_IN_PROJECT", message, hint)


def is_credential(value: object) -> bool:
    """Say whether ``value`` has the shape ``{env: …}``, ``{file: …}`` or ``{command: …}``."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in _CREDENTIAL_KEYS


def merge(layers: Iterable[Layer]) -> tuple[dict[str, Any], dict[str, Origin]]:
    """Return (values, origin by dotted path) of ``layers``, lowest first. Mappings are merged, all else is replaced."""
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for layer in layers:
        _merge(values, origins, layer, layer.values, ())
    return values, origins


def put(values: dict[str, Any], place: Place, value: object) -> None:
    """Set what stands at ``place``, making the mappings that lead there."""
    for key in place[:-1]:
        if not isinstance(values.get(key), dict):
            values[key] = {}
        values = values[key]
    values[place[-1]] = value


def _merge(
    values: dict[str, Any], origins: dict[str, Origin], layer: Layer, new: Mapping[str, Any], place: Place
) -> None:
    for key, value in new.items():
        inner = (*place, key)
        origins[".".join(inner)] = layer.origin(inner)
        old = values.get(key)
        if not isinstance(value, Mapping):
            values[key] = value
            continue
        if not isinstance(old, dict) or (is_credential(old) and is_credential(value)):
            values[key] = {}
        _merge(values[key], origins, layer, value, inner)


def _walk(value: object, place: Place) -> Iterator[tuple[Place, Any]]:
    yield place, value
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk(inner, (*place, key))
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, place)


def _in_file(layer: str, file: str, positions: Positions, place: Place) -> Origin:
    line, column = _outer(positions, place, (None, None))
    return Origin(layer, file, line, column)


def _outer(known: Mapping[Place, Any], place: Place, otherwise: Any) -> Any:
    """Return what is known of ``place``, or of the nearest place around it."""
    return next((known[place[:size]] for size in range(len(place), 0, -1) if place[:size] in known), otherwise)


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")


def _profile_place(variable: str, names: Mapping[str, str]) -> Place | None:
    prefix, _, rest = variable.partition("FLOW_PROFILE_")
    if prefix or not rest:
        return None
    fitting = [name for name in names if rest.startswith(f"{name}_")]
    name = max(fitting, key=len) if fitting else rest.partition("_")[0]
    key = rest[len(name) + 1 :].lower()
    return ("profiles", names.get(name, name.lower()), *key.split("__")) if name and key else None


def _home_or_none(environ: Mapping[str, str]) -> Path | None:
    try:
        return home(environ)
    except StateError:
        return None


def _is_shared(folder: Path) -> bool:
    try:
        return folder.stat().st_mode & _SHARED_FOLDER == _SHARED_FOLDER
    except OSError:
        return False
