"""Opening a plugin: import that one, build its typed settings, put it into a scope with the wrappers that apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flow_core.errors import FlowError, PluginError

if TYPE_CHECKING:
    from flow_core.faces._provider import Provider
    from flow_core.plugins import Catalog, Plugin
    from flow_core.plugins._host import Host
    from flow_core.secrets import Credentials
    from flow_core.settings import Profile


def open_provider(catalog: Catalog, host: Host, profile: Profile, credentials: Credentials) -> Provider:
    """Open the provider of ``profile``. Raises NotFoundError, PluginError, or ConfigError for its settings."""
    from flow_core.faces._provider import Provider
    from flow_core.hookspecs import PROVIDER_SPECS
    from flow_core.plugins._scope import Scope

    plugin = catalog.plugin("provider", profile.provider)
    instance, settings = instantiate(plugin, profile, credentials)
    scope = Scope(
        plugin.name,
        instance,
        PROVIDER_SPECS,
        wrappers=host.wrappers(profile.provider, profile.name),
        label=str(plugin),
        distribution=plugin.distribution,
        thread_safe=bool(getattr(settings, "thread_safe", False)),
    )
    for hook in ("submit", "find", "status", "cancel"):
        _required(scope, plugin, f"flow_provision_{hook}")
    if "flow_logs_read" not in scope.supports:
        _required(scope, plugin, "flow_node_access")
    return Provider(scope, profile.provider, profile.name)


def _required(scope: Any, plugin: Plugin, hook: str) -> None:
    if hook not in scope.supports:
        raise PluginError(f"{plugin} lacks the required hook {hook}", distribution=plugin.distribution)


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
            f"{plugin} could not be opened: {type(error).__name__}: {error}", distribution=plugin.distribution
        ) from error
