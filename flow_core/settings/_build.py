"""Builds a plugin's typed ``Settings`` and ``Options`` from what was written."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import attrs

from flow_core.secrets import Credential, Credentials, CredentialSource, local_stores
from flow_core.settings._document import invalid
from flow_core.settings._layers import is_credential
from flow_core.settings._model import Origin, Profile, Text, did_you_mean
from flow_core.settings._paths import paths
from flow_core.settings._values import Wrong, described, nested, read
from flow_core.types import CredentialRequest, Problem

T = TypeVar("T")
_WAYS = "use {env: NAME}, {file: PATH} or {command: [...]}, or run `flow login`"

ReadSecret = Callable[["attrs.Attribute[Any]", str, object], Credential]


def build(cls: type[T], profile: Profile, credentials: Credentials | None = None) -> T:
    """Return the attrs class ``cls`` filled from the settings of ``profile``.

    A field's metadata: ``help``; ``unit`` (``duration``: seconds, ``size``: bytes) lets a number be 90s or 16GiB;
    ``env`` names the variable that gives it where no file does;
    ``secret`` makes it a :class:`~flow_core.secrets.Credential`, looked for in the variable ``env`` and wherever
    ``credentials`` (default: this user's) looks; ``project`` lets a project file set it although ``cls`` has secrets,
    which it otherwise may not: they could be sent to where it says.

    Raises :class:`ConfigError` with every problem and where each stands.
    """
    chain = credentials or _own_credentials(profile)

    def secret(field: attrs.Attribute[Any], path: str, value: object) -> Credential:
        request = CredentialRequest(profile.provider, profile.name, path)
        explicit = None if value is attrs.NOTHING else _explicit(profile.origin(path), value)
        return Credential(CredentialSource(request, field.metadata.get("env"), explicit), chain)

    given = _from_variables(cls, profile)
    reader = Reader(lambda path: given.get(path, profile.origin(path)), f"profiles.{profile.name}.", secret)
    reader.refuse_project_settings(cls, profile.values)
    return reader.finish(cls, {**{name: Text(profile.environ[o.name]) for name, o in given.items()}, **profile.values})


def _from_variables(cls: type, profile: Profile) -> dict[str, Origin]:
    """Return the variable that gives each plain setting which the profile leaves out."""
    named = {name: field.metadata["env"] for name, field in settable(cls).items() if field.metadata.get("env")}
    plain = {name for name, field in settable(cls).items() if not field.metadata.get("secret")}
    wanted = {name: variable for name, variable in named.items() if name in plain and name not in profile.values}
    return {name: Origin("environment", name=v) for name, v in wanted.items() if profile.environ.get(v)}


def options(cls: type[T], mapping: Mapping[str, Any], path: str = "") -> T:
    """Return a provider's attrs class ``Options`` filled from ``mapping``, the section at ``path`` of a task's config.

    Values of type :class:`Text` are parsed. Raises :class:`ConfigError`; the paths of its problems begin with ``path``.
    """
    return Reader(lambda _: Origin("default"), f"{path}." if path else "").finish(cls, mapping)


class Reader:
    """Fills attrs classes and gathers all that is wrong on the way."""

    def __init__(self, origin: Callable[[str], Origin], prefix: str = "", secret: ReadSecret | None = None) -> None:
        self._origin = origin
        self._prefix = prefix
        self._secret = secret
        self.problems: list[Problem] = []

    def finish(self, cls: type[T], values: Mapping[str, Any]) -> T:
        """Return the filled ``cls``, or raise one :class:`ConfigError` with all problems."""
        built = self.record(cls, values, "")
        if self.problems or built is None:
            raise invalid(self.problems)
        return built

    def record(self, cls: type[T], values: Mapping[str, Any], path: str) -> T | None:
        """Return the filled ``cls``, or None after noting the problems. ``path`` leads to ``values``."""
        before = len(self.problems)
        fields = settable(cls)
        kinds = _kinds(cls)  # type: ignore[arg-type]
        for name in values.keys() - fields.keys():
            self._add(_join(path, name), "UNKNOWN_SETTING", "is not a setting", self._meant(name, fields))
        given: dict[str, Any] = {}
        for name, field in fields.items():
            self._field(given, field, kinds[field.name], values.get(name, attrs.NOTHING), _join(path, name))
        return self._made(cls, given, path) if len(self.problems) == before else None

    def refuse_project_settings(self, cls: type, values: Mapping[str, Any]) -> None:
        """Note what a project file says of a class with secrets: it comes with a clone and could redirect them."""
        fields = settable(cls)
        if not any(field.metadata.get("secret") for field in fields.values()):
            return
        for name in values.keys() & fields.keys():
            if self._from_project(name, values[name]) and not fields[name].metadata.get("project"):
                message = "cannot be set by a project file: it could send your credentials elsewhere"
                self._add(name, "NOT_IN_PROJECT", message, "set it in your own configuration file")

    def _from_project(self, path: str, value: object) -> bool:
        parts = (
            [self._from_project(f"{path}.{key}", part) for key, part in value.items()]
            if isinstance(value, Mapping)
            else []
        )
        return self._origin(path).layer == "project" or any(parts)

    def _field(self, given: dict[str, Any], field: attrs.Attribute[Any], kind: Any, value: Any, path: str) -> None:
        try:
            if field.metadata.get("secret") and self._secret:
                given[field.alias or field.name] = self._secret(field, path, value)
            elif value is not attrs.NOTHING:
                given[field.alias or field.name] = self._value(field, kind, value, path)
            elif field.default is attrs.NOTHING:
                self._add(path, "MISSING", "has to be set", field.metadata.get("help", ""))
        except Wrong as wrong:
            self._add(path, "WRONG_VALUE", wrong.message, wrong.hint)

    def _value(self, field: attrs.Attribute[Any], kind: Any, value: Any, path: str) -> object:
        inner = nested(kind)
        if inner is None:
            return read(kind, value, field.metadata.get("unit", ""))
        if value is None and inner is kind:
            raise Wrong("has no value", "write a mapping or leave the line out")
        return None if value is None else self._inner(inner, value, path)

    def _inner(self, cls: type, value: object, path: str) -> object:
        if not isinstance(value, Mapping):
            hint = "in a variable's name, __ goes one level down" if isinstance(value, Text) else ""
            raise Wrong(f"must be a mapping, not {described(value)}", hint)
        return self.record(cls, value, path)

    def _made(self, cls: type[T], given: dict[str, Any], path: str) -> T | None:
        try:
            return cls(**given)
        except (ValueError, TypeError) as error:
            blamed = [
                (name, wrong) for name, field in settable(cls).items() if (wrong := _objection(field, given, name))
            ]
            for name, wrong in blamed or [("", error)]:
                said = wrong.args[0] if wrong.args else type(wrong).__name__
                self._add(_join(path, name) if name else path, "WRONG_VALUE", str(said), "")
            return None

    def _meant(self, name: str, fields: Mapping[str, Any]) -> str:
        return did_you_mean(name, fields) or f"known: {', '.join(sorted(fields)) or 'none'}"

    def _add(self, path: str, code: str, message: str, hint: str) -> None:
        whole = self._prefix + path
        self.problems.append(self._origin(path).problem(whole.rstrip("."), code, message, hint))


def settable(cls: type) -> dict[str, attrs.Attribute[Any]]:
    """Return the settings that the attrs class ``cls`` has, by name."""
    return {field.alias or field.name: field for field in attrs.fields(cls) if field.init}


@lru_cache(maxsize=64)
def _kinds(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _own_credentials(profile: Profile) -> Credentials:
    environ = profile.environ or None
    return Credentials(local_stores(paths(environ).config_dir), environ=environ)


def _explicit(origin: Origin, value: object) -> Mapping[str, object]:
    """Return where a secret is looked for. Raises Wrong for the value itself in a file, and for unknown ways."""
    if isinstance(value, Text) and origin.layer == "environment":
        return {"env": origin.name}
    if not is_credential(value) or not isinstance(value, Mapping):
        raise Wrong("is a secret and must not stand here itself", _WAYS)
    way, where = next(iter(value.items()))
    if way == "command":
        if not isinstance(where, list) or not where or not all(isinstance(part, str) for part in where):
            raise Wrong("command must be a list of texts, the program first", "write {command: [program, argument]}")
    elif not isinstance(where, str) or not where:
        raise Wrong(f"{way} must be text, not {described(where)}")
    elif way == "file" and not (where.startswith("~") or Path(where).is_absolute()):
        raise Wrong("file must be an absolute path", "begin it with / or ~/")
    return dict(value)


def _objection(field: attrs.Attribute[Any], given: Mapping[str, Any], name: str) -> Exception | None:
    """Return what the field's own validator says against the value, None when it does not object."""
    if field.validator is None or name not in given:
        return None
    try:
        value = field.converter(given[name]) if callable(field.converter) else given[name]
        field.validator(None, field, value)
    except (ValueError, TypeError) as error:
        return error
    except Exception:  # a validator that needs the whole instance cannot be asked alone
        return None
    return None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
