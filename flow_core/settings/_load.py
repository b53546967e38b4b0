"""Puts the layers together and checks what core itself understands of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from flow_core.settings._build import Reader, settable
from flow_core.settings._document import invalid
from flow_core.settings._layers import (
    Layer,
    environment_layer,
    file_layer,
    find_project_file,
    merge,
    override_layer,
    refused_in_project,
)
from flow_core.settings._model import OWN_STORE, CoreSettings, Origin, Profile, Settings, StorePolicy, did_you_mean
from flow_core.settings._paths import paths, working_folder
from flow_core.settings._values import Wrong, read

_DEFAULTS: Mapping[str, Any] = MappingProxyType({"keep_events": "30d"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)
_PROFILE_KEYS = {
    "provider": str | None,
    "defaults": Mapping[str, Any],
    "result_store": str | None,
    "gpu_substitute": str | None,
}


@attrs.frozen
class _PluginPolicy:
    allow: tuple[str, ...] | None = None
    require: tuple[str, ...] = ()


@attrs.frozen
class _Policy:
    plugins: _PluginPolicy = _PluginPolicy()


@attrs.frozen
class _Top:
    """What stands at the top level beside profiles, result stores and core's own settings."""

    default: str | None = None
    policy: _Policy = _Policy()


def load(
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Return the settings that hold in the folder ``cwd``, each value from the highest layer that sets it.

    Layers: defaults < user file < project file (the nearest ``.flow/config.yaml``) < ``environ`` <
    ``overrides`` (dotted path -> value, from the command line). Raises :class:`ConfigError` with every problem and
    where it stands, and :class:`StateError` when a file cannot be read.
    """
    env = os.environ if environ is None else environ
    places = paths(env)
    files = _files(working_folder() if cwd is None else cwd, env, places.config_file)
    values, origins = merge([Layer(_DEFAULTS, lambda _: Origin("default")), *files])
    upper = (
        environment_layer(env, ["default", *settable(CoreSettings)], _names(values)),
        override_layer(overrides or {}),
    )
    values, origins = merge([Layer(_DEFAULTS, lambda _: Origin("default")), *files, *upper])
    return _Checked(values, origins, env).settings(places)


def check_file(layer: Layer) -> None:
    """Raise :class:`ConfigError` when a user file with these values would be refused."""
    values, origins = merge([Layer(_DEFAULTS, lambda _: Origin("default")), layer])
    _Checked(values, origins, {}).fail_on_problems()


def _files(cwd: Path, environ: Mapping[str, str], config_file: Path) -> list[Layer]:
    user = file_layer("user", config_file)
    found = find_project_file(cwd, environ)
    project = file_layer("project", found) if found and found != config_file else None
    if project and (refused := list(refused_in_project(project))):
        raise invalid(refused)
    return [layer for layer in (user, project) if layer]


def _names(values: Mapping[str, Any]) -> list[str]:
    profiles = values.get("profiles")
    return list(profiles) if isinstance(profiles, Mapping) else []


class _Checked:
    """The merged values, read; ``problems`` is what is wrong with them."""

    def __init__(self, values: Mapping[str, Any], origins: Mapping[str, Origin], environ: Mapping[str, str]) -> None:
        self._values = values
        self._origins = origins
        self._environ = environ
        self._reader = Reader(self._origin)
        self.problems = self._reader.problems
        self._refuse_unknown()
        self._core = self._part(CoreSettings)
        self._top = self._part(_Top)
        self._stores = dict(self._profiles("result_stores", self._store))
        self._profiles_found = dict(self._profiles("profiles", self._profile))

    def settings(self, places: Any) -> Settings:
        """Return the settings, or raise one error with all problems."""
        self.fail_on_problems()
        return Settings(
            default=self._top.default,
            profiles=MappingProxyType(self._profiles_found),
            result_stores=MappingProxyType(self._stores),
            allowed_plugins=self._top.policy.plugins.allow,
            required_plugins=self._top.policy.plugins.require,
            core=self._core,
            paths=places,
            values=self._values,
            origins=self._origins,
            environ=self._environ,
        )

    def fail_on_problems(self) -> None:
        """Raise one :class:`ConfigError` with all problems, when there are any."""
        if self.problems:
            raise invalid(sorted(self.problems, key=lambda problem: (problem.file or "", problem.line or 0)))

    def _refuse_unknown(self) -> None:
        known = (*settable(_Top), *settable(CoreSettings), "profiles", "result_stores")
        for key in self._values:
            if key not in known:
                hint = did_you_mean(key, known) or f"known: {', '.join(sorted(known))}"
                self._add(key, "UNKNOWN_SETTING", "is not a setting", hint)

    def _part(self, cls: type[Any]) -> Any:
        own = {key: self._values[key] for key in settable(cls) if key in self._values}
        return self._reader.record(cls, own, "")

    def _profiles(
        self, kind: str, make: Callable[[str, str, Mapping[str, Any]], Profile]
    ) -> Iterator[tuple[str, Profile]]:
        found = self._values.get(kind, {})
        if not isinstance(found, Mapping):
            self._add(kind, "WRONG_VALUE", "must be a mapping of names to settings")
            return
        for name, values in found.items():
            path = f"{kind}.{name}"
            if not _NAME.fullmatch(name):
                self._add(path, "BAD_NAME", "is not a name", "use letters, digits, _ and -, at most 63")
            elif not isinstance(values, (Mapping, type(None))):
                self._add(path, "WRONG_VALUE", "must be a mapping of settings", f"write {{provider: {name}}}")
            else:
                yield name, make(name, path, values or {})

    def _profile(self, name: str, path: str, values: Mapping[str, Any]) -> Profile:
        own = {
            key: self._read(f"{path}.{key}", kind, values[key]) for key, kind in _PROFILE_KEYS.items() if key in values
        }
        own["provider"] = own.get("provider") or name
        store = own.get("result_store")
        if store and store not in (*self._stores, OWN_STORE):
            hint = did_you_mean(store, self._stores) or "add it under result_stores"
            self._add(f"{path}.result_store", "UNKNOWN_STORE", f"there is no result store {store}", hint)
        if own.get("gpu_substitute") not in (None, "none"):
            self._add(f"{path}.gpu_substitute", "WRONG_VALUE", "can only be none")
        rest = {key: value for key, value in values.items() if key not in _PROFILE_KEYS}
        return Profile(name, values=rest, origins=self._below(path), environ=self._environ, **own)

    def _store(self, name: str, path: str, values: Mapping[str, Any]) -> Profile:
        plugin = self._read(f"{path}.store", str, values.get("store", OWN_STORE if name == OWN_STORE else None))
        own = settable(StorePolicy)
        policy = self._reader.record(StorePolicy, {key: values[key] for key in own if key in values}, path)
        rest = {key: value for key, value in values.items() if key not in ("store", *own)}
        found = Profile(name, plugin or name, rest, origins=self._below(path), environ=self._environ)
        return attrs.evolve(found, store=policy or StorePolicy())

    def _read(self, path: str, kind: Any, value: object) -> Any:
        try:
            return read(kind, value)
        except Wrong as wrong:
            self._add(path, "WRONG_VALUE", wrong.message, wrong.hint)
            return {} if kind == Mapping[str, Any] else None

    def _below(self, path: str) -> Mapping[str, Origin]:
        start = f"{path}."
        below = {place[len(start) :]: origin for place, origin in self._origins.items() if place.startswith(start)}
        return {"": self._origins.get(path, Origin("default")), **below}

    def _origin(self, path: str) -> Origin:
        while path and path not in self._origins:
            path = path.rpartition(".")[0]
        return self._origins.get(path, Origin("default"))

    def _add(self, path: str, code: str, message: str, hint: str = "") -> None:
        self.problems.append(self._origin(path).problem(path, code, message, hint))
