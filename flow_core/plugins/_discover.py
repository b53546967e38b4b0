"""Installed plugins, known by their metadata; a plugin is imported when it is used, and only then.

A name clash, a broken import or a range of flow-core that does not fit is the fault of that one name: listing and every
other plugin keep working.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flow_core.errors import NotFoundError, PluginError

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

GROUPS: Mapping[str, str] = {
    "provider": "flow.providers",
    "frontend": "flow.frontends",
    "result store": "flow.result_stores",
    "secret store": "flow.secret_stores",
    "command": "flow.commands",
    "host plugin": "flow.plugins",
}
"""Plugin kind -> entry-point group."""

_OWN = {("result store", "folder"): ("flow_core.results:FolderStore", "keeps results in a folder")}


class Plugin(NamedTuple):  # not an attrs class: attrs would be a tenth of the time of `flow --help`
    """One name in one group: everything that is known of it without importing it."""

    kind: str
    name: str
    distribution: str
    version: str
    summary: str
    requires_core: str
    entry: EntryPoint
    rivals: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} ({self.distribution} {self.version})"

    def problem(self) -> str:
        """Say why this plugin cannot be used, as far as its metadata tells; empty when nothing speaks against it."""
        from flow_core.plugins._metadata import accepts, core_version

        if self.rivals:
            return f"{', '.join(self.rivals)} also provides the {self.kind} {self.name!r}: uninstall one of them"
        if not accepts(self.requires_core, core_version()):
            return f"needs flow-core{self.requires_core}, and {core_version()} is installed: upgrade one of them"
        return ""

    def load(self) -> Any:
        """Import the plugin and return what its entry point names. Raises PluginError that names the distribution."""
        if problem := self.problem():
            out = f"FLOW_DISABLE_PLUGINS={self.distribution} leaves it out"
            raise PluginError(f"{self}: {problem}", out, distribution=self.distribution)
        try:
            return self.entry.load()
        except Exception as error:  # a third party's import may raise anything
            raise PluginError(
                f"{self} could not be imported: {_cause(self.entry, error)}",
                hint=f"reinstall or remove {self.distribution}; FLOW_DISABLE_PLUGINS={self.distribution} leaves it out",
                distribution=self.distribution,
            ) from error


def _cause(entry: EntryPoint, error: Exception) -> str:
    """Tell a plugin that is not there from one whose dependency is missing."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        if entry.module == error.name or entry.module.startswith(f"{error.name}."):
            return f"its module {entry.module} does not exist"
        return f"its dependency {error.name!r} is not installed"
    if isinstance(error, AttributeError):
        return f"{entry.value} does not exist"
    return f"{type(error).__name__}: {error}"


class Catalog:
    """The installed plugins of every kind. Reads metadata when first asked; never imports a plugin by itself.

    ``environ``: FLOW_NO_PLUGINS empties it, FLOW_DISABLE_PLUGINS names distributions to leave out (comma separated).
    ``allow``: patterns of distribution names; None allows all.
    """

    def __init__(self, environ: Mapping[str, str] | None = None, allow: Iterable[str] | None = None) -> None:
        env = os.environ if environ is None else environ
        self._none = env.get("FLOW_NO_PLUGINS", "") not in ("", "0")
        self._disabled = {normal(word) for word in env.get("FLOW_DISABLE_PLUGINS", "").split(",") if word.strip()}
        self._allow = None if allow is None else tuple(normal(word) for word in allow)
        self._found: dict[str, dict[str, Plugin]] = {}

    def plugins(self, kind: str) -> Mapping[str, Plugin]:
        """Return the plugins of ``kind`` by name."""
        if kind not in self._found:
            self._found[kind] = self._discover(kind)
        return self._found[kind]

    def plugin(self, kind: str, name: str) -> Plugin:
        """Return one plugin. Raises NotFoundError that says what is installed and what is near."""
        found = self.plugins(kind)
        if name in found:
            return found[name]
        import difflib

        near = difflib.get_close_matches(name, found, n=1)
        there = ", ".join(sorted(found)) or "none"
        raise NotFoundError(
            f"no {kind} {name!r} is installed (installed: {there})",
            hint=f"did you mean {near[0]!r}?" if near else f"install the distribution that provides {name!r}",
        )

    def _discover(self, kind: str) -> dict[str, Plugin]:
        found = dict(_own(kind))
        if self._none:
            return found
        from flow_core.plugins._metadata import entry_points

        for entry in entry_points(GROUPS[kind]):
            plugin = _plugin(kind, entry)
            if not self._permits(plugin.distribution):
                continue
            rival = found.get(plugin.name)
            if rival is None:
                found[plugin.name] = plugin
            elif rival.distribution != plugin.distribution:
                rivals = (*rival.rivals, f"{plugin.distribution} {plugin.version}")
                found[plugin.name] = rival._replace(rivals=rivals)
        return found

    def _permits(self, distribution: str) -> bool:
        from fnmatch import fnmatchcase

        name = normal(distribution)
        return name not in self._disabled and (self._allow is None or any(fnmatchcase(name, p) for p in self._allow))


def normal(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return name.strip().lower().replace("_", "-").replace(".", "-")


def _own(kind: str) -> Iterator[tuple[str, Plugin]]:
    """Yield what is part of Flow itself, whatever is installed and allowed."""
    for (of, name), (value, summary) in _OWN.items():
        if of == kind:
            from importlib_metadata import EntryPoint

            from flow_core.plugins._metadata import core_version

            entry = EntryPoint(name, value, GROUPS[kind])
            version = core_version()
            yield name, Plugin(kind, name, "flow-core", version, summary, f"<={version}", entry)


def _plugin(kind: str, entry: EntryPoint) -> Plugin:
    from flow_core.plugins._metadata import core_requirement

    meta: Mapping[str, str] = entry.dist.metadata if entry.dist else {}  # type: ignore[assignment]
    return Plugin(
        kind=kind,
        name=entry.name,
        distribution=meta.get("Name") or "unknown",
        version=meta.get("Version") or "?",
        summary=meta.get("Summary") or "",
        requires_core=core_requirement(entry),
        entry=entry,
    )
