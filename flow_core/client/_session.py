"""What one use of Flow holds open: settings, journal, plugins. Everything is opened when it is first needed."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from flow_core.errors import FlowError
from flow_core.settings._paths import working_folder

if TYPE_CHECKING:
    from flow_core.faces import Frontend, Provider, ResultStore, SecretStore
    from flow_core.journal import Journal
    from flow_core.plugins import Catalog
    from flow_core.plugins._host import Host
    from flow_core.secrets import Credentials, Store
    from flow_core.settings import Profile, Settings


class Session:
    """Settings, journal, catalog and the providers opened so far; no process-wide state.

    ``environ`` stands in for ``os.environ``, which is otherwise read when it is needed; ``overrides`` are settings from the
    command line.
    """

    def __init__(
        self,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else dict(environ)
        self.cwd = working_folder() if cwd is None else cwd
        self._overrides = overrides
        self._providers: dict[str, Provider] = {}
        self._frontends: dict[str, Frontend] = {}
        self._result_stores: dict[str, ResultStore] = {}

    @cached_property
    def settings(self) -> Settings:
        """The layered settings."""
        from flow_core.settings import load

        return load(self.cwd, self.environ, self._overrides)

    @cached_property
    def journal(self) -> Journal:
        """The journal of this state folder."""
        from flow_core.journal import Journal
        from flow_core.settings import paths

        def refill(predecessor: str) -> None:
            from flow_core.client._rebuild import rebuild

            rebuild(self, journal, predecessor)

        keep = partial(_keep_events, self.cwd, self.environ, self._overrides)
        journal = Journal(paths(self.environ).state_dir / "journal.db", refill, keep)
        return journal

    @cached_property
    def catalog(self) -> Catalog:
        """The installed plugins that the settings allow."""
        from flow_core.plugins import Catalog

        return Catalog(self.environ, self.settings.allowed_plugins)

    @cached_property
    def host(self) -> Host:
        """The host plugins."""
        from flow_core.plugins._host import Host

        return Host(self.catalog, self.settings.required_plugins)

    def choose(self, requested: str | None, in_config: str | None = None) -> Profile:
        """Return the profile to use; never a guess among several."""
        from flow_core.settings import choose

        return choose(self.settings, requested, in_config, sorted(self.catalog.plugins("provider")))

    def provider(self, profile: Profile | str) -> Provider:
        """Return the opened provider of a profile."""
        chosen = self.choose(profile) if isinstance(profile, str) else profile
        if chosen.name not in self._providers:
            from flow_core.faces import open_provider

            self._providers[chosen.name] = open_provider(self.catalog, self.host, chosen, self._credentials())
        return self._providers[chosen.name]

    def frontend(self, name: str) -> Frontend:
        """Return the opened frontend ``name``."""
        if name not in self._frontends:
            from flow_core.faces import open_frontend

            self._frontends[name] = open_frontend(self.catalog, name, self._credentials(), self.environ)
        return self._frontends[name]

    def result_store(self, name: str) -> ResultStore:
        """Return the opened result store that the settings call ``name``. Raises NotFoundError when none is."""
        if name not in self._result_stores:
            from flow_core.faces import open_result_store

            profile = self.settings.result_store(name)
            self._result_stores[name] = open_result_store(self.catalog, profile, self._credentials())
        return self._result_stores[name]

    @cached_property
    def secret_stores(self) -> Sequence[Store]:
        """The stores that are asked for a secret, in order; those of plugins come last and are opened when asked."""
        from flow_core.secrets import standard_stores
        from flow_core.settings import paths

        own = standard_stores(paths(self.environ).config_dir, environ=self.environ)
        return (*own, *map(self.secret_plugin, sorted(self.catalog.plugins("secret store"))))

    def secret_plugin(self, name: str) -> Store:
        """Return the secret store of a plugin, opened when it is asked. Raises NotFoundError."""
        from flow_core.client._secret_plugin import SecretPlugin

        def open_store() -> SecretStore:
            from flow_core.faces import open_secret_store

            return open_secret_store(self.catalog, name, self._credentials(), self.environ)

        return SecretPlugin(str(self.catalog.plugin("secret store", name)), open_store)

    def _credentials(self) -> Credentials:
        from flow_core.secrets import Credentials, local_stores
        from flow_core.settings import paths

        return Credentials(local_stores(paths(self.environ).config_dir), [self.host.credential], self.environ)


def _keep_events(cwd: Path, environ: Mapping[str, str], overrides: Mapping[str, object] | None) -> float:
    """Return for how many seconds the journal keeps events: for good while the settings cannot be read."""
    from flow_core.settings import load

    try:
        return load(cwd, environ, overrides).core.keep_events
    except FlowError:
        return math.inf
