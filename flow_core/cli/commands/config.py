"""``flow config``."""

from __future__ import annotations

import re
import sys
from typing import Any

import click

from flow_core.cli._envelope import emit
from flow_core.cli._group import Group
from flow_core.cli._options import json_option
from flow_core.cli._table import show
from flow_core.cli._talk import say
from flow_core.client import Flow
from flow_core.errors import ConfigError
from flow_core.settings import Origin, Text, paths, write

HEADER = ("KEY", "VALUE", "FROM")
_SECRET = re.compile(r"key|token|secret|password|credential", re.IGNORECASE)


@click.group("config", cls=Group)
def command() -> None:
    """Show and change settings."""


@command.command("show")
@click.argument("key", required=False)
@json_option
def show_(key: str | None, as_json: bool) -> None:
    """Show every setting that is set, or those below KEY, each with where it comes from."""
    settings = Flow().session.settings
    if key is not None:
        settings.value(key)
    found = [item for item in settings.items() if key is None or item[0] == key or item[0].startswith(f"{key}.")]
    if as_json:
        emit([_record(*item) for item in found])
    else:
        show(HEADER, ((path, _shown(path, value), str(origin)) for path, value, origin in found))


@command.command("set")
@click.argument("key")
@click.argument("value")
@json_option
def set_(key: str, value: str, as_json: bool) -> None:
    """Set KEY (as profiles.lab.provider) in your settings file; VALUE is read as YAML."""
    import yaml

    file = paths().config_file
    try:
        read: Any = yaml.safe_load(value)
    except yaml.YAMLError:
        read = value
    write(file, key, read)
    _warn(key)
    if as_json:
        emit({"key": key, "value": read, "file": file})
    else:
        say(f"{key} is set in {file}")


def _warn(key: str) -> None:
    """Say what is not right (yet): a profile is set piece by piece, and its plugin may not be installed here."""
    section, _, rest = key.partition(".")
    try:
        if section == "default":
            Flow().session.choose(None)
        elif section == "profiles":
            Flow().provider(rest.partition(".")[0])
    except ConfigError as error:
        say(f"warning: {error.message}")
        for problem in error.problems:
            say(f"warning: {problem}")


@command.command("path")
@json_option
def path(as_json: bool) -> None:
    """Print the path of your settings file; with --json every folder that Flow uses."""
    found = paths()
    if as_json:
        emit(found)
    else:
        sys.stdout.write(f"{found.config_file}\n")


def _record(key: str, value: object, origin: Origin) -> dict[str, object]:
    return {"key": key, "value": _masked(key, value), "origin": origin}


def _masked(key: str, value: object) -> object:
    """A file may not hold a secret in plain text; a variable of the environment may."""
    return "***" if isinstance(value, Text) and _SECRET.search(key) else value


def _shown(key: str, value: object) -> str:
    shown = _masked(key, value)
    if isinstance(shown, str):
        return str(shown)
    import json

    return json.dumps(shown, ensure_ascii=False, default=str)
