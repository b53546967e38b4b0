"""What every contract is: a plugin, its settings, its known limits, and a home for each test."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar, TypeVar

import pytest

from flow_core.plugins import GROUPS, Catalog, Plugin
from flow_core.testing._bench import Bench
from flow_core.testing._ground import Ground, sees_processes

F = TypeVar("F", bound=Callable[..., None])
PROFILE = "kit"
_NUMBER = re.compile(r"test_([a-z]\d\d)_")


class Contract:
    """Base of all contracts; a test class that names no plugin is left out of the run.

    ``provider``, ``result_store``, ``frontend``, ``secret_store`` or ``host_plugin`` names the installed plugin (its
    entry point) or is its class. ``settings`` are the profile's; ``{home}`` in a text is the test's own folder.
    ``known_limits`` maps the number of a scenario to the reason why the plugin cannot keep it: it must fail, and the
    run fails when it passes. ``patience`` is how long a task may take, ``linger`` how long a provider's helpers may
    live on after its last one, in seconds.
    """

    kind: ClassVar[str] = "provider"
    claims: ClassVar[frozenset[str]] = frozenset()
    settings: ClassVar[Mapping[str, object]] = {}
    known_limits: ClassVar[Mapping[str, str]] = {}
    patience: ClassVar[float] = 30.0
    linger: ClassVar[float] = 10.0
    ground: ClassVar[Ground]

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        numbers = scenarios(cls)
        if unknown := sorted(set(cls.known_limits) - set(numbers)):
            raise TypeError(f"{cls.__name__} has no scenario {', '.join(unknown)}, so that is no known limit")
        for number, reason in cls.known_limits.items():
            setattr(cls, numbers[number], _expected_to_fail(getattr(cls, numbers[number]), reason))

    @classmethod
    def subject(cls) -> str | type | None:
        """Return what is under test: the plugin's name or its class; None for a contract that names none."""
        found: str | type | None = getattr(cls, cls.kind.replace(" ", "_"), None)
        return found

    @classmethod
    def plugin_name(cls) -> str:
        """Return the name of the plugin's entry point."""
        subject = cls.subject()
        return subject.__name__.lower() if isinstance(subject, type) else str(subject)

    @classmethod
    def setup_class(cls) -> None:
        """Make the ground that the homes of this class's tests stand on."""
        cls.ground = Ground()
        subject = cls.subject()
        if isinstance(subject, type):
            cls.ground.install(GROUPS[cls.kind], cls.plugin_name(), subject)

    @classmethod
    def teardown_class(cls) -> None:
        """Fail when the plugin left processes behind (scenario P60)."""
        left = cls.ground.leave(cls.linger)
        if left:
            pytest.fail("left behind after the last test (P60): " + "; ".join(map(str, left)), pytrace=False)

    @pytest.fixture
    def home(self, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A Flow home of this test's own, for this process and those it starts; they see a class that was handed in."""
        if self.subject() is None:
            pytest.skip("no plugin is named")
        home = self.ground.home()
        monkeypatch.setenv("FLOW_HOME", str(home))
        for name in ("FLOW_NO_PLUGINS", "FLOW_DISABLE_PLUGINS", "FLOW_PROVIDER", "FLOW_DEFAULT"):
            monkeypatch.delenv(name, raising=False)
        if self.ground.site.is_dir():
            monkeypatch.syspath_prepend(str(self.ground.site))
        return home

    @pytest.fixture
    def profile(self, home: Path) -> Mapping[str, object]:
        """The settings of the plugin for this test; overridden where something has to be started for them."""
        settings: Mapping[str, object] = filled(self.settings, home)
        return settings

    @pytest.fixture
    def plugin(self, home: Path) -> Plugin:  # noqa: ARG002 - it makes a class that was handed in visible
        """The installed plugin, not imported."""
        return Catalog({}).plugin(self.kind, self.plugin_name())

    @pytest.fixture
    def bench(self, home: Path, profile: Mapping[str, object], plugin: Plugin) -> Iterator[Bench]:
        """A client whose default profile is the plugin; only its distribution may be loaded."""
        write_config(home, plugin, profile)
        bench = Bench(home, self.patience)
        yield bench
        bench.stop()

    def need(self, bench: Bench, *hooks: str) -> None:
        """Skip this scenario where the provider does not implement one of ``hooks``."""
        missing = [hook for hook in hooks if hook not in bench.provider.supports]
        if missing:
            pytest.skip(f"{self.plugin_name()} has no {', '.join(missing)}")

    def need_fact(self, bench: Bench, fact: str) -> None:
        """Skip this scenario where the provider's facts deny ``fact``."""
        if not getattr(bench.provider.facts, fact):
            pytest.skip(f"{self.plugin_name()} says {fact}: false in its facts")

    def need_exact_log(self, bench: Bench) -> None:
        """Skip this scenario where the provider's facts say that logs are lines and not bytes."""
        if bench.provider.facts.log_bytes != "exact":
            pytest.skip(f"{self.plugin_name()} says log_bytes: {bench.provider.facts.log_bytes} in its facts")

    def need_sight(self, bench: Bench) -> None:
        """Skip this scenario where tasks do not run on a machine whose processes can be seen from here."""
        self.need_fact(bench, "shares_client_files")
        if not sees_processes():
            pytest.skip("this platform does not show processes")


def write_config(home: Path, plugin: Plugin, profile: Mapping[str, object]) -> None:
    """Write the configuration of a test: one profile of the plugin, and no other distribution's plugins."""
    import yaml

    content: dict[str, object] = {"policy": {"plugins": {"allow": [plugin.distribution]}}}
    if plugin.kind == "provider":
        content.update(default=PROFILE, profiles={PROFILE: {"provider": plugin.name, **profile}})
    (home / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (home / "config.yaml").chmod(0o600)


def filled(value: Any, home: Path) -> Any:
    """Return ``value`` with ``{home}`` in its texts replaced."""
    if isinstance(value, str):
        return value.replace("{home}", str(home))
    if isinstance(value, Mapping):
        return {key: filled(item, home) for key, item in value.items()}
    return [filled(item, home) for item in value] if isinstance(value, (list, tuple)) else value


def scenarios(cls: type) -> dict[str, str]:
    """Return number -> test method of every scenario of a contract, as ``P07``."""
    found = ((match[1].upper(), name) for name in dir(cls) if (match := _NUMBER.match(name)))
    return dict(found)


def _expected_to_fail(test: Any, reason: str) -> Any:
    own = FunctionType(test.__code__, test.__globals__, test.__name__, test.__defaults__, test.__closure__)
    own.__dict__.update(test.__dict__)
    own.__kwdefaults__ = test.__kwdefaults__
    own.__annotations__ = test.__annotations__
    return pytest.mark.xfail(reason=reason, strict=True)(own)
