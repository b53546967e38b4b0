"""Opening a plugin: import that one, build its typed settings, put it into a scope with the wrappers that apply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flow_core.errors import FlowError, PluginError

if TYPE_CHECKING:
    from flow_core.faces._frontend import Frontend
    from flow_core.faces._provider import Provider
    from flow_core.faces._result_store import ResultStore
    from flow_core.faces._secret_store import SecretStore
    from flow_core.plugins import Catalog, Plugin
    from flow_core.plugins._host import Host
    from flow_core.plugins._scope import Scope
    from flow_core.secrets import Credentials
    from flow_core.settings import Profile


def open_provider(catalog: Catalog, host: Host, profile: Profile, credentials: Credentials) -> Provider:
    """Open the provider of ``profile``. Raises NotFoundError, PluginError, or ConfigError for its settings."""
    from flow_core.faces._provider import Provider

    plugin = catalog.plugin("provider", profile.provider)
    scope = _open(plugin, profile, credentials, host.wrappers(profile.provider, profile.name))
    return Provider(scope, profile.provider, profile.name)


def open_result_store(catalog: Catalog, profile: Profile, credentials: Credentials) -> ResultStore:
    """Open the result store of ``profile``, one of the ``result_stores`` of the settings."""
    from flow_core.faces._result_store import ResultStore

    return ResultStore(_open(catalog.plugin("result store", profile.provider), profile, credentials), profile.name)


def open_frontend(catalog: Catalog, name: str, credentials: Credentials, environ: Mapping[str, str]) -> Frontend:
    """Open the frontend ``name``; what its settings name as their variables is read from ``environ``."""
    from flow_core.faces._frontend import Frontend

    plugin = catalog.plugin("frontend", name)
    return Frontend(_open(plugin, _own_profile(plugin, environ), credentials))


def open_secret_store(catalog: Catalog, name: str, credentials: Credentials, environ: Mapping[str, str]) -> SecretStore:
    """Open the secret store ``name``; its settings are those of ``environ``, as a frontend's are."""
    from flow_core.faces._secret_store import SecretStore

    plugin = catalog.plugin("secret store", name)
    return SecretStore(_open(plugin, _own_profile(plugin, environ), credentials))


def _open(
    plugin: Plugin, profile: Profile, credentials: Credentials, wrappers: Mapping[str, object] | None = None
) -> Scope:
    from flow_core.hookspecs import SPECS, missing_hooks
    from flow_core.plugins._scope import Scope

    instance, settings = instantiate(plugin, profile, credentials)
    scope = Scope(
        plugin.name,
        instance,
        SPECS[plugin.kind],
        wrappers=wrappers,
        label=str(plugin),
        distribution=plugin.distribution,
        thread_safe=bool(getattr(settings, "thread_safe", False)),
    )
    if missing := missing_hooks(plugin.kind, scope.supports):
        lacks = f"{plugin} lacks the required {', '.join(missing)}"
        raise PluginError(lacks, f"tell the authors of {plugin.distribution}", distribution=plugin.distribution)
    return scope


def instantiate(plugin: Plugin, profile: Profile, credentials: Credentials) -> tuple[object, object]:
    """Return (instance, settings) of a plugin class; its faults are named as its own."""
    cls = plugin.load()
    settings_class = getattr(cls, "Settings", None)
    try:
        if settings_class is None:
            return cls(), None
        from flow_core.settings import build

        settings = build(settings_class, profile, credentials)
        return cls(settings), settings
    except FlowError:
        raise
    except Exception as error:
        raise PluginError(
            f"{plugin} could not be opened: {type(error).__name__}: {error}",
            f"tell the authors of {plugin.distribution}",
            distribution=plugin.distribution,
        ) from error


def _own_profile(plugin: Plugin, environ: Mapping[str, str]) -> Profile:
    """Return the profile of a plugin without a section in the settings: its variables alone set it."""
    from flow_core.settings import Profile

    return Profile(plugin.name, plugin.name, environ=environ)
