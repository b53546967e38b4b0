"""Loading: what a plugin of any kind owes whoever imports it (``docs/behaviour/load.md``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from flow_core.errors import ConfigError
from flow_core.plugins import Plugin
from flow_core.plugins._metadata import accepts, core_version
from flow_core.plugins._probe import _missing
from flow_core.testing._bench import Bench
from flow_core.testing._contract import Contract
from flow_core.testing._opened import open_scope
from flow_core.testing._probe import Probe

SLOW_IMPORT = 1.0  # seconds
_CREDENTIAL = re.compile(r"(^|_)(password|passwd|token|api_key|secret|access_key)$")


class LoadContract(Contract):
    """Scenarios O01 to O12, for plugins of every kind."""

    def test_o01_the_entry_point_can_be_imported(self, bench: Bench, plugin: Plugin) -> None:
        loaded = plugin.load()
        assert isinstance(loaded, type) or plugin.kind == "host plugin"
        Probe.of(bench, self.kind, plugin.name, "import")

    def test_o02_the_distribution_says_which_flow_core_it_needs(self, plugin: Plugin) -> None:
        if isinstance(self.subject(), type):
            pytest.skip("a class that was handed in has no distribution")
        assert plugin.requires_core, f"{plugin.distribution} does not require flow-core"
        assert accepts(plugin.requires_core, core_version())
        assert "<" in plugin.requires_core, "the range is open above: the next major may be another contract"

    def test_o03_importing_starts_nothing(self, bench: Bench, plugin: Plugin) -> None:
        found = Probe.of(bench, self.kind, plugin.name, "import")
        assert [c for c in found.changes if c.startswith(("threads", "child"))] == []

    def test_o04_importing_does_nothing_outside_the_process(self, bench: Bench, plugin: Plugin) -> None:
        assert Probe.of(bench, self.kind, plugin.name, "import").acts == []

    def test_o05_importing_changes_nothing_of_the_process(self, bench: Bench, plugin: Plugin) -> None:
        assert Probe.of(bench, self.kind, plugin.name, "import").changes == []

    def test_o06_importing_is_quick(self, bench: Bench, plugin: Plugin) -> None:
        took = min(self._seconds(bench, plugin) for _ in range(2))
        assert took < SLOW_IMPORT, f"the import takes {took:.2f} s: import what is heavy where it is used"

    def _seconds(self, bench: Bench, plugin: Plugin) -> float:
        return Probe.of(bench, self.kind, plugin.name, "import").seconds

    def test_o07_an_instance_does_nothing_until_it_is_asked(
        self, bench: Bench, plugin: Plugin, profile: Mapping[str, object]
    ) -> None:
        if plugin.kind == "host plugin" and not isinstance(plugin.load(), type):
            pytest.skip("the entry point is an object already")
        found = Probe.of(bench, self.kind, plugin.name, "open", profile)
        assert (found.acts, found.changes) == ([], [])

    def test_o08_settings_are_typed_and_explained(self, plugin: Plugin) -> None:
        settings = getattr(plugin.load(), "Settings", None)
        if settings is None:
            pytest.skip("it has no settings")
        assert attrs.has(settings), "Settings is no attrs class"
        for field in attrs.fields(settings):
            assert field.type is not None, f"{field.name} has no type"
            assert field.metadata.get("help"), f"{field.name} has no help in its metadata"
            open_secret = _CREDENTIAL.search(field.name) and not field.metadata.get("secret")
            assert not open_secret, f"{field.name} looks like a credential and is not marked secret"

    def test_o09_every_hook_is_claimed_by_a_contract(
        self, plugin: Plugin, profile: Mapping[str, object], request: pytest.FixtureRequest
    ) -> None:
        scope = open_scope(plugin, profile)
        untested = sorted(scope.supports - claimed(type(self), vars(request.module).values()))
        assert untested == [], f"hooks without a contract in this module: {', '.join(untested)}"

    def test_o10_the_hooks_are_those_of_the_contract(self, plugin: Plugin, profile: Mapping[str, object]) -> None:
        scope = open_scope(plugin, profile)
        assert scope.supports, "it implements no hook"
        assert _missing(plugin, sorted(scope.supports)) == ""

    def test_o11_an_unknown_setting_is_refused_by_name(self, plugin: Plugin, profile: Mapping[str, object]) -> None:
        if getattr(plugin.load(), "Settings", None) is None:
            pytest.skip("it has no settings")
        with pytest.raises(ConfigError) as refused:
            open_scope(plugin, {**profile, "no_such_setting": 1})
        assert any("no_such_setting" in problem.path for problem in refused.value.problems)

    def test_o12_two_instances_stand_side_by_side(self, plugin: Plugin, profile: Mapping[str, object]) -> None:
        first, second = (open_scope(plugin, profile) for _ in range(2))
        assert first.supports == second.supports


def claimed(cls: type[Contract], names: Any) -> frozenset[str]:
    """Return the hooks that the contracts of a module claim for the plugin that ``cls`` is about."""
    classes = {cls, *(n for n in names if isinstance(n, type) and issubclass(n, Contract))}
    same = [c for c in classes if c.kind == cls.kind and c.subject() == cls.subject()]
    parts = {part for c in same for part in c.__mro__ if issubclass(part, Contract)}
    return frozenset().union(*(part.claims for part in parts))
