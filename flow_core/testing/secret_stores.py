"""Secret stores (``docs/behaviour/secret_stores.md``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from flow_core.plugins import Plugin
from flow_core.plugins._scope import Scope
from flow_core.secrets import Secret
from flow_core.testing._opened import open_scope
from flow_core.testing.load import LoadContract
from flow_core.types import new_request_id


class SecretStoreContract(LoadContract):
    """Scenarios K01 to K06, and those of loading. ``secret_store`` names the plugin, or is its class.

    ``known`` are secrets that are there already, name -> value: needed for a store that can only be read.
    """

    kind: ClassVar[str] = "secret store"
    claims: ClassVar[frozenset[str]] = frozenset(f"flow_secret_{verb}" for verb in ("get", "list", "set", "delete"))
    known: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture
    def scope(self, plugin: Plugin, profile: Mapping[str, object]) -> Scope:
        """The opened store."""
        return open_scope(plugin, profile)

    @pytest.fixture
    def kept(self, scope: Scope) -> Mapping[str, str]:
        """Secrets that the store holds now."""
        if "flow_secret_set" not in scope.supports:
            assert self.known, "a store that can only be read needs `known` in its test class"
            return self.known
        new = {"KIT_ONE": "kit-" + new_request_id(), "kit/two": "kit ü\n" + new_request_id()}
        for name, value in new.items():
            assert scope.call("flow_secret_set", name=name, value=Secret(value, name)) is True
        return {**self.known, **new}

    def _get(self, scope: Scope, name: str) -> Secret | None:
        found: Any = scope.call("flow_secret_get", name=name)
        assert found is None or isinstance(found, Secret)
        return found

    def test_k01_a_secret_comes_back_as_it_was(self, scope: Scope, kept: Mapping[str, str]) -> None:
        found = {name: self._get(scope, name) for name in kept}
        assert {name: secret.reveal() for name, secret in found.items() if secret} == dict(kept)

    def test_k02_what_is_not_there_is_none(self, scope: Scope) -> None:
        assert self._get(scope, "KIT_NOBODY_SET_THIS") is None

    def test_k03_the_list_names_and_never_shows(self, scope: Scope, kept: Mapping[str, str]) -> None:
        names = list(scope.call("flow_secret_list"))
        assert set(kept) <= set(names)
        assert not [value for value in kept.values() if value in repr(names)]

    def test_k04_a_secret_can_be_replaced_and_forgotten(self, scope: Scope, kept: Mapping[str, str]) -> None:
        self._need(scope, "flow_secret_set", "flow_secret_delete")
        scope.call("flow_secret_set", name="KIT_ONE", value=Secret("second", "KIT_ONE"))
        replaced = self._get(scope, "KIT_ONE")
        assert replaced is not None
        assert replaced.reveal() == "second"
        assert scope.call("flow_secret_delete", name="KIT_ONE") is True
        assert self._get(scope, "KIT_ONE") is None
        assert scope.call("flow_secret_delete", name="KIT_ONE") is False
        assert set(kept) - {"KIT_ONE"} <= set(scope.call("flow_secret_list"))

    def test_k05_another_instance_knows_it_too(
        self, plugin: Plugin, profile: Mapping[str, object], kept: Mapping[str, str]
    ) -> None:
        other = open_scope(plugin, profile)
        found = {name: self._get(other, name) for name in kept}
        assert {name: secret.reveal() for name, secret in found.items() if secret} == dict(kept)

    def test_k06_nothing_of_it_prints(self, scope: Scope, kept: Mapping[str, str]) -> None:
        shown = repr([self._get(scope, name) for name in kept]) + repr(scope) + repr(vars(scope))
        assert not [name for name, value in kept.items() if value in shown]

    def _need(self, scope: Scope, *hooks: str) -> None:
        missing = [hook for hook in hooks if hook not in scope.supports]
        if missing:
            pytest.skip(f"{self.plugin_name()} has no {', '.join(missing)}")
