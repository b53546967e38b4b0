"""A secret store as the rest of the program sees it: one more of the stores that are asked in order."""

from __future__ import annotations

from collections.abc import Sequence

from flow_core.faces._face import Face
from flow_core.secrets import Secret

_SECONDS = 10.0


class SecretStore(Face):
    """One opened secret store; a store that can only be read keeps and forgets nothing."""

    bounds = dict.fromkeys(("flow_secret_get", "flow_secret_list", "flow_secret_set", "flow_secret_delete"), _SECONDS)

    @property
    def label(self) -> str:
        """How messages call it."""
        return self._scope.label

    def get(self, name: str) -> Secret | None:
        """Return the secret, or None when this store has none of that name."""
        hook = "flow_secret_get"
        answer = self._call(hook, name=name)
        return None if answer is None else self._typed(hook, answer, Secret)

    def names(self) -> Sequence[str]:
        """Return the names it keeps."""
        return self._listed("flow_secret_list", self._call("flow_secret_list"), str)

    def set(self, name: str, value: str) -> bool:
        """Keep ``value``; False when this store cannot."""
        hook = "flow_secret_set"
        return hook in self.supports and self._typed(hook, self._call(hook, name=name, value=Secret(value, name)), bool)

    def delete(self, name: str) -> bool:
        """Forget ``name``; False when it was not there, or cannot be forgotten."""
        hook = "flow_secret_delete"
        return hook in self.supports and self._typed(hook, self._call(hook, name=name), bool)
