"""Imports one plugin and says what it is; run by the doctor in a process of its own, so that it can break nothing."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from flow_core.errors import PluginError

if TYPE_CHECKING:
    from flow_core.plugins import Plugin


def main(kind: str, name: str) -> None:
    """Print what :func:`probe` finds, as the last line of stdout."""
    sys.stdout.write("\n" + json.dumps(probe(kind, name)) + "\n")


def probe(kind: str, name: str) -> dict[str, Any]:
    """Return ``seconds`` of the import, ``hooks``, ``settings`` (name -> type, default, help, env) and ``error``.

    The error is empty when nothing is wrong.
    """
    import flow_core.hookspecs  # noqa: F401 - what core brings is not the plugin's time
    from flow_core.plugins import Catalog

    plugin = Catalog({}).plugin(kind, name)
    started = time.perf_counter()
    found: dict[str, Any] = {"hooks": [], "settings": {}, "error": ""}
    try:
        loaded = plugin.load()
        found["seconds"] = time.perf_counter() - started
        found["settings"] = _settings(getattr(loaded, "Settings", None))
        found["hooks"] = _hooks(plugin, loaded)
        found["error"] = _missing(plugin, found["hooks"])
    except PluginError as error:
        found["error"] = error.message.removeprefix(f"{plugin}: ").removeprefix(f"{plugin} ")
    found.setdefault("seconds", time.perf_counter() - started)
    return found


def _hooks(plugin: Plugin, loaded: Any) -> list[str]:
    if plugin.kind == "command":
        import click

        if not isinstance(loaded, click.Command):
            why = f"{plugin} is a {type(loaded).__name__}, not a click command"
            raise PluginError(why, f"tell the authors of {plugin.distribution}")
        return []
    from flow_core.plugins._scope import Scope

    specs = _specs(plugin.kind)
    # Not initialised: its settings are somebody else's matter, and opening a plugin does no I/O anyway.
    instance = object.__new__(loaded) if isinstance(loaded, type) else loaded
    return sorted(Scope(plugin.name, instance, specs, label=str(plugin)).supports)


def _settings(cls: Any) -> dict[str, dict[str, str]]:
    import attrs

    if cls is None or not attrs.has(cls):
        return {}
    return {field.alias or field.name: _setting(field) for field in attrs.fields(cls) if field.init}


def _setting(field: Any) -> dict[str, str]:
    import attrs

    kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    secret, required = field.metadata.get("secret"), field.default is attrs.NOTHING
    made = isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]
    default = "" if secret or required or made else str(field.default)
    return {
        "type": "secret" if secret else kind + (", required" if required else ""),
        "default": default,
        "help": str(field.metadata.get("help", "")),
        "env": str(field.metadata.get("env", "")),
    }


def _specs(kind: str) -> tuple[type, ...]:
    from flow_core.hookspecs import SPECS

    return SPECS[kind]


def _missing(plugin: Plugin, hooks: list[str]) -> str:
    from flow_core.hookspecs import missing_hooks

    missing = missing_hooks(plugin.kind, hooks)
    return f"lacks the required {', '.join(missing)}" if missing else ""
