"""Secret stores of plugins, imported when they are asked: a secret that is found before costs no import."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from flow_core.errors import FlowError

if TYPE_CHECKING:
    from flow_core.faces import SecretStore
    from flow_core.secrets import Secret


class SecretPlugin:
    """A store among :func:`flow_core.secrets.find`'s; ``label`` is how messages call it."""

    def __init__(self, label: str, open_store: Callable[[], SecretStore]) -> None:
        self.label = label
        self._open = open_store

    @cached_property
    def _store(self) -> SecretStore:
        return self._open()

    def get(self, name: str) -> Secret | None:
        """Return the secret, or None. Raises what keeps the plugin from answering."""
        return self._store.get(name)

    def set(self, name: str, value: str) -> bool:
        """Keep ``value``; False when the plugin can only read."""
        return self._store.set(name, value)

    def delete(self, name: str) -> bool:
        """Forget ``name``; False when it was not there."""
        return self._store.delete(name)

    def names(self) -> Sequence[str]:
        """Return the names it keeps; none with a warning when it cannot be asked, so that other stores are listed."""
        try:
            return self._store.names()
        except FlowError as error:
            warnings.warn(f"{error.message}; its secrets are not listed", stacklevel=2)
            return ()
