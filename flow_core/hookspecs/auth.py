"""Auth: whether the credentials work, and what ``flow login`` asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flow_core.hookspecs._markers import hookspec, optional
from flow_core.types import AuthField, Identity


class AuthHooks(Protocol):
    """Optional: a provider without them needs no login."""

    @hookspec(firstresult=True)
    def flow_auth_check(self) -> Identity:
        """Say whom the credentials stand for.

        Called by ``flow whoami``, ``flow doctor`` and before a process's first submit (kept 10 minutes); read only;
        15 s. Raises AuthError when the credentials are missing or refused, TransientError when nobody answers.

        Example::

            @hookimpl
            def flow_auth_check(self):
                me = self._api.get("/me")
                return Identity(user=me["email"], account=me["project"])
        """
        ...

    @hookspec(firstresult=True)
    def flow_auth_fields(self) -> Sequence[AuthField]:
        """Name what ``flow login`` asks for; pure, no I/O. Without it login is refused.

        Example::

            @hookimpl
            def flow_auth_fields(self):
                return [AuthField("api_key", "Create one on the account page", env="ACME_API_KEY")]
        """
        optional("flow_auth_fields")
