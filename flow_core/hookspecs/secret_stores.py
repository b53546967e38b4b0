"""Secret stores: asked in order after the environment, the keyring and the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flow_core.hookspecs._markers import hookspec, optional
from flow_core.secrets import Secret


class SecretHooks(Protocol):
    """The hooks of a secret store; one that can only be read implements the first two."""

    @hookspec(firstresult=True)
    def flow_secret_get(self, name: str) -> Secret | None:
        """Return a secret, or None when this store does not have it; 10 s. Raises AuthError.

        Example::

            @hookimpl
            def flow_secret_get(self, name):
                return Secret(self._vault.read(name), name) if self._vault.has(name) else None
        """
        ...

    @hookspec(firstresult=True)
    def flow_secret_list(self) -> Sequence[str]:
        """Name the secrets that are there, never their values; 10 s.

        Example::

            @hookimpl
            def flow_secret_list(self):
                return self._vault.names()
        """
        ...

    @hookspec(firstresult=True)
    def flow_secret_set(self, name: str, value: Secret) -> bool:
        """Keep a secret; True when it is kept; 10 s.

        Example::

            @hookimpl
            def flow_secret_set(self, name, value):
                return self._vault.write(name, value.reveal())
        """
        optional("flow_secret_set")

    @hookspec(firstresult=True)
    def flow_secret_delete(self, name: str) -> bool:
        """Forget a secret; True when it was there; 10 s.

        Example::

            @hookimpl
            def flow_secret_delete(self, name):
                return self._vault.delete(name)
        """
        optional("flow_secret_delete")
