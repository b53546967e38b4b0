"""Opening a plugin of any kind by itself, without the wrappers of others."""

from __future__ import annotations

import os
from collections.abc import Mapping

from flow_core.faces._open import instantiate
from flow_core.plugins import Plugin
from flow_core.plugins._probe import _specs
from flow_core.plugins._scope import Scope
from flow_core.secrets import Credentials, local_stores
from flow_core.settings import Profile, paths


def open_instance(plugin: Plugin, settings: Mapping[str, object]) -> object:
    """Return an instance of the plugin with ``settings``; a host plugin takes none and may be an object already."""
    if plugin.kind == "host plugin":
        loaded = plugin.load()
        return loaded() if isinstance(loaded, type) else loaded
    environ = dict(os.environ)
    profile = Profile(plugin.name, plugin.name, values=settings, environ=environ)
    instance, _ = instantiate(plugin, profile, Credentials(local_stores(paths(environ).config_dir), environ=environ))
    return instance


def open_scope(plugin: Plugin, settings: Mapping[str, object], wrappers: Mapping[str, object] | None = None) -> Scope:
    """Return the plugin's hooks as core calls them."""
    instance = open_instance(plugin, settings)
    label, distribution = str(plugin), plugin.distribution
    return Scope(plugin.name, instance, _specs(plugin.kind), wrappers, label=label, distribution=distribution)
