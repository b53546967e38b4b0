"""Words for the shell's completion, from the journal and the settings alone. What cannot be read completes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_NEWEST = 50


def complete_task(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names and ids of the newest tasks."""
    from flow_core.client import Flow

    with suppress(Exception):
        rows = [task.row for task in Flow().tasks(_NEWEST)]
        ids = {row.id: f"{row.state} {row.name}" for row in rows}
        return _items({**{row.name: f"{row.state} {row.id}" for row in reversed(rows)}, **ids}.items(), incomplete)
    return []


def complete_profile(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the profiles and the installed providers."""
    from flow_core.client import Flow

    with suppress(Exception):
        flow = Flow()
        profiles = {name: f"profile of {profile.provider}" for name, profile in flow.session.settings.profiles.items()}
        return _items({**dict.fromkeys(flow.provider_names(), "provider"), **profiles}.items(), incomplete)
    return []


def complete_plugin(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of the installed plugins."""
    from flow_core.plugins import GROUPS, Catalog

    with suppress(Exception):
        catalog = Catalog()
        found = {name: plugin.kind for kind in GROUPS for name, plugin in catalog.plugins(kind).items()}
        return _items(found.items(), incomplete)
    return []


def _items(words: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(_plain(word), help=_plain(text)) for word, text in words if word.startswith(incomplete)]


def _plain(text: str) -> str:
    """Leave out what a shell's completion script would read as lines or fields of its own."""
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)
