"""Finds what a provider needs to log in, asking in a fixed order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from flow_core.errors import AuthError
from flow_core.secrets._secret import MASK, Secret
from flow_core.secrets._stores import Store
from flow_core.types import CredentialRequest

KINDS = ("env", "file", "command")
_FRESH_SECONDS = 300.0
_COMMAND_SECONDS = 60.0
_LARGEST = 1 << 20

CredentialPlugin = Callable[[CredentialRequest], Secret | None]


@attrs.frozen
class CredentialSource:
    """One secret field of one profile: the plugin's own ``variable``, and what the profile says ``explicit``ly.

    ``explicit`` is ``{"env": NAME}``, ``{"file": PATH}`` or ``{"command": [ARGUMENT, …]}``.
    """

    request: CredentialRequest
    variable: str | None = None
    explicit: Mapping[str, object] | None = None

    @property
    def name(self) -> str:
        """The name in Flow's stores; in the keyring, user ``field`` of the service ``flow/<provider>/<profile>``."""
        return f"flow/{self.request.provider}/{self.request.profile}/{self.request.field}"


class Credentials:
    """The order of asking: the profile's own word, the plugin's variable, ``stores``, ``plugins``.

    What a profile says itself is final: it never falls through to the credential of somebody else.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        plugins: Sequence[CredentialPlugin] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._stores = stores
        self._plugins = plugins
        self._environ = os.environ if environ is None else environ

    def find(self, source: CredentialSource) -> Secret | None:
        """Return the credential, or None; :class:`AuthError` when the profile names a place that does not have it."""
        if source.explicit is not None:
            return self._explicit(source, *next(iter(source.explicit.items())))
        if source.variable and self._environ.get(source.variable):
            return Secret(self._environ[source.variable], source.name)
        stored = (store.get(source.name) for store in self._stores)
        offered = (plugin(source.request) for plugin in self._plugins)
        return next((found for answers in (stored, offered) for found in answers if found is not None), None)

    def get(self, source: CredentialSource) -> Secret:
        """Return the credential; :class:`AuthError` names all that was asked."""
        if (found := self.find(source)) is not None:
            return found
        asked = [f"the variable {source.variable}"] if source.variable else []
        asked += [store.label for store in self._stores]
        asked += ["host plugins"] if self._plugins else []
        request = source.request
        raise AuthError(
            f"the profile {request.profile} has no {request.field}; asked: {', '.join(asked) or 'nobody'}",
            f"run `flow login {request.profile}`" + (f" or set {source.variable}" if source.variable else ""),
            {"provider": request.provider, "profile": request.profile, "field": request.field, "asked": asked},
        )

    def _explicit(self, source: CredentialSource, kind: str, where: object) -> Secret:
        if kind == "env":
            value = self._environ.get(str(where), "")
            trouble = f"the variable {where} is not set"
        elif kind == "file":
            value, trouble = _from_file(str(where))
        else:
            value, trouble = _from_command([str(part) for part in where] if isinstance(where, (list, tuple)) else [])
        if value:
            return Secret(value, source.name)
        request = source.request
        raise AuthError(
            f"the profile {request.profile} has no {request.field}: {trouble}",
            f"mend it, or the setting {request.field}",
        )


class Credential:
    """A provider's credential, looked for when it is first needed and asked for again after five minutes.

    It prints as ``***``.
    """

    def __init__(
        self, source: CredentialSource, credentials: Credentials, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._credentials = credentials
        self._clock = clock
        self._found: tuple[float, Secret] | None = None

    def find(self) -> Secret | None:
        """Return the credential or None."""
        if self._found is None or self._clock() - self._found[0] > _FRESH_SECONDS:
            secret = self._credentials.find(self._source)
            self._found = (self._clock(), secret) if secret is not None else None
        return self._found[1] if self._found else None

    def get(self) -> Secret:
        """Return the credential; :class:`AuthError` names all that was asked."""
        return self.find() or self._credentials.get(self._source)

    def reveal(self) -> str:
        """Return the credential's text; :class:`AuthError` names all that was asked."""
        return self.get().reveal()

    def __repr__(self) -> str:
        return f"Credential({MASK}, name={self._source.name!r})"


def _from_file(name: str) -> tuple[str, str]:
    try:
        with Path(name).expanduser().open(encoding="utf-8") as file:
            return file.read(_LARGEST).rstrip("\r\n"), f"the file {name} is empty"
    except (OSError, ValueError, RuntimeError) as error:
        return "", f"the file {name} cannot be read ({getattr(error, 'strerror', None) or error})"


def _from_command(argv: Sequence[str]) -> tuple[str, str]:
    import subprocess

    shown = " ".join(argv)
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_COMMAND_SECONDS)
    except (OSError, ValueError, IndexError) as error:
        return "", f"the command `{shown}` does not start ({getattr(error, 'strerror', None) or error})"
    except subprocess.TimeoutExpired:
        return "", f"the command `{shown}` has not ended within {_COMMAND_SECONDS:g} s"
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        return "", f"the command `{shown}` ended with {done.returncode} ({words[0]})"
    return done.stdout.rstrip("\r\n"), f"the command `{shown}` printed nothing"
