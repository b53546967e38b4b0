"""Settings as the rest of Flow reads them: values, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from flow_core.errors import NotFoundError
from flow_core.settings._paths import Paths
from flow_core.types import Problem

Place = tuple[str, ...]
"""The keys that lead to a value."""

OWN_STORE = "folder"
"""The result store that needs no settings."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Text(str):
    """A value that came as text, from a variable or the command line: it is parsed by the type of its setting.

    Its repr is masked, since it may belong to a secret.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Text(***)"


@attrs.frozen
class Origin:
    """Where a value comes from: ``layer`` is ``default``, ``user``, ``project``, ``environment`` or ``command line``.

    Files give ``file``, ``line`` and ``column`` (from 1); ``name`` is the variable or the key of the command line.
    """

    layer: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    name: str = ""

    def __str__(self) -> str:
        if self.file:
            return f"{self.file}:{self.line}" if self.line else self.file
        return f"{self.layer} {self.name}".rstrip()

    def problem(self, path: str, code: str, message: str, hint: str = "") -> Problem:
        """Return a :class:`Problem` that stands here."""
        said = f"{message} (from the {self})" if self.name else message
        return Problem(path, code, said, hint, file=self.file, line=self.line, column=self.column)


@attrs.frozen
class CoreSettings:
    """Core's own settings."""

    keep_events: float = attrs.field(metadata={"help": "How long the journal keeps events.", "unit": "duration"})


@attrs.frozen
class StorePolicy:
    """What core does with a result store. ``keep``: seconds, after which :command:`flow gc` removes what a task kept."""

    keep: float | None = attrs.field(
        default=None, metadata={"help": "How long tasks' results stay, as 30d; default: always.", "unit": "duration"}
    )
    max_bytes: int | None = attrs.field(
        default=None,
        metadata={"help": "No task that keeps something is submitted above this, as 500GB.", "unit": "size"},
    )
    shared: bool = attrs.field(
        default=False, metadata={"help": "Every machine sees the store's folder under the same path."}
    )


@attrs.frozen
class Profile:
    """A configured provider (or, in ``result_stores``, a result store, whose plugin ``provider`` then names).

    ``values`` are the plugin's settings as written; ``defaults`` is laid below each task's config. ``result_store`` is
    the store's profile, and ``store`` what a store's own settings ask of core. ``gpu_substitute`` is ``none`` where tasks
    that ask for a GPU run without one.
    ``origins`` are by dotted path within the profile. ``environ`` is where its variables are looked up.
    """

    name: str
    provider: str
    values: Mapping[str, Any] = _NOTHING
    defaults: Mapping[str, Any] = _NOTHING
    origins: Mapping[str, Origin] = _NOTHING
    result_store: str | None = None
    gpu_substitute: str | None = None
    store: StorePolicy = StorePolicy()
    environ: Mapping[str, str] = attrs.field(default=_NOTHING, repr=False, eq=False)

    def origin(self, path: str) -> Origin:
        """Return where the setting at the dotted ``path``, or the nearest thing around it, comes from."""
        return _nearest(self.origins, path)


@attrs.frozen
class Settings:
    """All layers in one. ``allowed_plugins`` are the distribution patterns a policy allows, None when it allows all.

    ``required_plugins`` are the distributions without whose host plugins no task is submitted.
    """

    default: str | None
    profiles: Mapping[str, Profile]
    result_stores: Mapping[str, Profile]
    allowed_plugins: tuple[str, ...] | None
    required_plugins: tuple[str, ...]
    core: CoreSettings
    paths: Paths
    _values: Mapping[str, Any]
    _origins: Mapping[str, Origin]
    environ: Mapping[str, str] = attrs.field(repr=False, eq=False)

    def value(self, path: str) -> Any:
        """Return what stands at the dotted ``path``, as written. Raises :class:`NotFoundError` when nothing does."""
        found: Any = self._values
        for key in path.split("."):
            if not isinstance(found, Mapping) or key not in found:
                raise NotFoundError(f"there is no setting {path}", "`flow config show` lists those that are set")
            found = found[key]
        return found

    def origin(self, path: str) -> Origin:
        """Return where the value at the dotted ``path``, or the nearest thing around it, comes from."""
        return _nearest(self._origins, path)

    def items(self) -> Iterator[tuple[str, Any, Origin]]:
        """Yield (dotted path, value as written, origin) of every single value."""
        return _leaves(self._values, self._origins, "")

    def profile(self, name: str) -> Profile:
        """Return the profile called ``name``. Raises :class:`NotFoundError` when none is configured."""
        return _named(self.profiles, name, "profile")

    def result_store(self, name: str) -> Profile:
        """Return the result store called ``name``; ``folder`` is there without being configured. Raises :class:`NotFoundError`."""
        if name == OWN_STORE and name not in self.result_stores:
            return Profile(name, name, environ=self.environ)
        return _named(self.result_stores, name, "result store")


def did_you_mean(word: object, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """Return ``did you mean `x`?`` for the nearest of ``known``, or an empty text."""
    from difflib import get_close_matches  # only a mistake pays for it

    near = get_close_matches(str(word).replace("-", "_").lower()[:64], list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else ""


def _named(found: Mapping[str, Profile], name: str, kind: str) -> Profile:
    if name not in found:
        hint = did_you_mean(name, found) or f"configured: {', '.join(sorted(found)) or 'none'}"
        raise NotFoundError(f"there is no {kind} {name!r}", hint)
    return found[name]


def _nearest(origins: Mapping[str, Origin], path: str) -> Origin:
    while path and path not in origins:
        path = path.rpartition(".")[0]
    return origins.get(path, Origin("default"))


def _leaves(values: Mapping[str, Any], origins: Mapping[str, Origin], path: str) -> Iterator[tuple[str, Any, Origin]]:
    for key, value in values.items():
        place = f"{path}.{key}" if path else key
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, origins, place)
        else:
            yield place, value, _nearest(origins, place)
