"""``flow plugins``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flow_core.cli._catalog import COMMANDS
from flow_core.cli._complete import complete_plugin
from flow_core.cli._envelope import emit
from flow_core.cli._group import Group
from flow_core.cli._options import json_option
from flow_core.cli._table import pairs, show
from flow_core.cli._talk import say
from flow_core.client import Flow
from flow_core.errors import NotFoundError
from flow_core.plugins import GROUPS, Catalog, Plugin

if TYPE_CHECKING:
    from flow_core.plugins._doctor import Probe

_KINDS = ("provider", "frontend", "result-store", "secret-store", "command", "host")
HEADER = ("KIND", "NAME", "DISTRIBUTION", "VERSION", "STATE", "SUMMARY")


@click.group("plugins", cls=Group)
def command() -> None:
    """List, show, diagnose and begin plugins."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List what is installed, by its metadata: no plugin is imported."""
    found = _all(Flow().session.catalog)
    if as_json:
        emit([_record(plugin) for plugin in found])
    else:
        show(HEADER, map(_line, found))


@command.command("show")
@click.argument("name", shell_complete=complete_plugin)
@json_option
def show_(name: str, as_json: bool) -> None:
    """Show what is known of the plugins called NAME, and what they can do."""
    flow = Flow()
    found = [plugin for plugin in _all(flow.session.catalog) if name in (plugin.name, plugin.distribution)]
    if not found:
        raise NotFoundError(f"no plugin {name!r} is installed", "flow plugins list shows what is")
    if as_json:
        emit([_probed_record(flow, plugin) for plugin in found])
    else:
        sys.stdout.write("\n".join(_detail(flow, plugin) for plugin in found))


@command.command("new")
@click.argument("kind", type=click.Choice(_KINDS))
@click.argument("name")
@click.option("--path", type=click.Path(path_type=Path), help="The project's folder; without it flow-NAME here.")
@json_option
def new(kind: str, name: str, path: Path | None, as_json: bool) -> None:
    """Begin a plugin: a whole project that passes the conformance kit as it is written.

    \b
      flow plugins new provider acme
    """
    from flow_core.plugins._scaffold import create

    folder = path or Path(f"flow-{name}")
    written = create(kind, name, folder)
    if as_json:
        emit({"path": folder, "files": [file.relative_to(folder) for file in written]})
        return
    sys.stdout.writelines(f"{file}\n" for file in written)
    sys.stdout.flush()
    say(f"next: cd {shlex.quote(str(folder))} && pip install -e '.[test]' && pytest")


@command.command("doctor")
@json_option
def doctor(as_json: bool) -> int:
    """Import each plugin in a process of its own and say what is wrong. Exits with 1 when something is."""
    from flow_core.cli._findings import tell
    from flow_core.plugins._doctor import examine

    return tell(examine(Flow().session.catalog, tuple(COMMANDS)), as_json)


def _all(catalog: Catalog) -> list[Plugin]:
    return [plugin for kind in GROUPS for plugin in catalog.plugins(kind).values()]


def _line(plugin: Plugin) -> tuple[str, ...]:
    state = plugin.problem() or "ok"
    return plugin.kind.replace(" ", "-"), plugin.name, plugin.distribution, plugin.version, state, plugin.summary


def _record(plugin: Plugin) -> dict[str, object]:
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "requires_core": plugin.requires_core,
        "entry_point": plugin.entry.value,
        "problem": plugin.problem(),
        "summary": plugin.summary,
    }


def _probed_record(flow: Flow, plugin: Plugin) -> dict[str, object]:
    found = _probed(plugin)
    return {
        **_record(plugin),
        "hooks": found.hooks,
        "settings": found.settings,
        "wrappers": _wrappers(flow, plugin),
    }


def _wrappers(flow: Flow, plugin: Plugin) -> list[str]:
    """Name what other plugins put around this provider's hooks, outermost first."""
    if plugin.kind != "provider":
        return []
    found = list(flow.session.host.wrappers(plugin.name, plugin.name).items())[::-1]
    return [f"{type(wrapper).__name__} of {name.rpartition('.')[0]}" for name, wrapper in found]


def _probed(plugin: Plugin) -> Probe:
    from flow_core.plugins._doctor import Probe, probe

    return Probe() if plugin.problem() else probe(plugin)


def _detail(flow: Flow, plugin: Plugin) -> str:
    found = _probed(plugin)
    facts = [
        ("plugin", plugin.name),
        ("kind", plugin.kind),
        ("distribution", f"{plugin.distribution} {plugin.version}"),
        ("summary", plugin.summary),
        ("entry point", plugin.entry.value),
        ("needs", f"flow-core{plugin.requires_core}"),
        ("problem", plugin.problem() or found.error),
        ("hooks", ", ".join(found.hooks)),
        ("wrapped by", ", ".join(_wrappers(flow, plugin))),
        *(("setting", _setting(name, setting)) for name, setting in found.settings.items()),
    ]
    return pairs(facts)


def _setting(name: str, setting: Mapping[str, str]) -> str:
    default = setting["default"] and f" = {setting['default']}"
    variable = setting["env"] and f" (variable {setting['env']})"
    return f"{name}: {setting['type']}{default}. {setting['help']}{variable}"
