"""Which profile runs a task."""

from __future__ import annotations

from collections.abc import Sequence

from flow_core.errors import ConfigError
from flow_core.settings._model import Profile, Settings, did_you_mean


def choose(settings: Settings, requested: str | None, config_provider: str | None, installed: Sequence[str]) -> Profile:
    """Return the profile that is asked for: on the command line, else in the task, else as the configured default.

    Without any of these, the only one there is. A profile wins over the provider of its name; a provider without one is
    a profile of its own. Raises :class:`ConfigError` that lists the candidates when there are several or none.
    """
    for name, asker in (
        (requested, ""),
        (config_provider, "--provider or the task"),
        (settings.default, settings.origin("default")),
    ):
        if name:
            return _named(settings, name, f" (asked for by: {asker})" if asker else "", installed)
    candidates = _candidates(settings, installed)
    if len(candidates) == 1:
        return _named(settings, candidates[0], "", installed)
    if not candidates:
        off = [name for name in ("FLOW_NO_PLUGINS", "FLOW_DISABLE_PLUGINS") if settings.environ.get(name)]
        hint = f"{' and '.join(off)} may hide it: unset it" if off else "install the package of one with pip"
        raise ConfigError("no provider is installed", hint)
    listed = ", ".join(candidates)
    raise ConfigError(
        f"which provider? there are {listed}",
        f"say --provider {candidates[0]}, or `flow config set default {candidates[0]}`",
        {"candidates": candidates},
    )


def _candidates(settings: Settings, installed: Sequence[str]) -> list[str]:
    """Return the profiles whose provider is installed, and the installed providers that have no profile."""
    profiles = {name for name, profile in settings.profiles.items() if profile.provider in installed}
    configured = {settings.profiles[name].provider for name in profiles}
    return sorted(profiles | (set(installed) - configured))


def _named(settings: Settings, name: str, asker: str, installed: Sequence[str]) -> Profile:
    profile = settings.profiles.get(name) or Profile(name, name, environ=settings.environ)
    if profile.provider in installed:
        return profile
    there = f"installed: {', '.join(sorted(installed)) or 'none'}"
    if name in settings.profiles and profile.provider != name:
        message = f"the profile {name} needs the provider {profile.provider}, which is not installed"
        raise ConfigError(message, f"{there}; install its package with pip")
    near = did_you_mean(name, tuple({*settings.profiles, *installed}))
    profiles = f"; profiles: {', '.join(sorted(settings.profiles))}" if settings.profiles else ""
    raise ConfigError(
        f"there is no profile or provider {name!r}{asker}",
        "; ".join(part for part in (near, there + profiles, "install a provider's package with pip") if part),
    )
