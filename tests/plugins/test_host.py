"""Host plugins: policy, wrappers, events; each known by name, none able to break what it only watches."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from flow_core.errors import ConfigError, PluginError, PolicyError
from flow_core.plugins import Catalog
from flow_core.plugins._host import Host
from flow_core.types import Event, PolicyContext, TaskConfig

HEAD = """
from flow_core.hookspecs import HostHooks, hookimpl
from flow_core.types import Refusal
import attrs

class Plugin(HostHooks):
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, name: str, body: str) -> None:
    module = f"host_{site.name.replace('-', '_')}_{name}"
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: host-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[flow.plugins]\n{name} = {module}:Plugin\n")
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    (site / f"{module}.py").write_text(HEAD + lines)


def host() -> Host:
    return Host(Catalog({}))


def ask(config: TaskConfig) -> TaskConfig:
    return host().policy(config, PolicyContext("local", "local"), lambda c: c)


NAMED = (
    "@hookimpl\ndef flow_task_config(self, config):\n    return attrs.evolve(config, name=(config.name or '') + {!r})"
)


def test_policies_are_a_chain_in_the_order_of_their_names(site: Path) -> None:
    install(site, "b", NAMED.format("b"))
    install(site, "a", NAMED.format("a"))

    assert ask(TaskConfig(command="true")).name == "ab"


def test_a_refusal_names_the_plugin_and_its_reason(site: Path) -> None:
    install(
        site, "cap", "@hookimpl\ndef flow_task_config(self, config):\n    return Refusal('too dear', 'ask finance')"
    )

    with pytest.raises(PolicyError, match=r"host plugin 'cap' \(host-cap 1.0\): too dear") as caught:
        ask(TaskConfig(command="true"))
    assert caught.value.hint == "ask finance"


def test_what_a_policy_makes_is_validated_again(site: Path) -> None:
    install(site, "odd", NAMED.format("odd"))

    def validate(config: TaskConfig) -> TaskConfig:
        raise ConfigError(f"{config.name} is wrong")

    with pytest.raises(PolicyError, match=r"'odd'.*made the task invalid: odd is wrong"):
        host().policy(TaskConfig(command="true"), PolicyContext("local", "local"), validate)


def test_no_policy_leaves_the_config_alone(site: Path) -> None:
    config = TaskConfig(command="true")

    assert ask(config) is config


def test_an_event_reaches_every_plugin_though_one_of_them_fails(site: Path, tmp_path: Path) -> None:
    install(site, "a", "@hookimpl\ndef flow_event(self, event):\n    raise RuntimeError('boom')")
    log = tmp_path / "events"
    install(
        site,
        "b",
        f"@hookimpl\ndef flow_event(self, event):\n    __import__('pathlib').Path({str(log)!r}).write_text(event.kind)",
    )

    with pytest.warns(UserWarning, match="'a'.*flow_event: RuntimeError: boom"):
        host().event(Event("task.submitted", 0.0))

    assert log.read_text() == "task.submitted"


def test_a_broken_host_plugin_is_left_out_with_a_warning(site: Path) -> None:
    install(site, "bad", "raise RuntimeError('no')")
    install(site, "good", NAMED.format("good"))

    with pytest.warns(UserWarning, match="'bad'.*RuntimeError: no; it is left out"):
        assert ask(TaskConfig(command="true")).name == "good"


def test_a_plugin_that_cannot_be_made_is_left_out_with_a_warning(site: Path) -> None:
    install(site, "bad", "def __init__(self):\n    raise ValueError('no cap')\n" + NAMED.format("bad"))

    with pytest.warns(UserWarning, match="'bad'.*could not be opened: ValueError: no cap; it is left out"):
        assert ask(TaskConfig(command="true")).name is None


def test_a_required_plugin_that_is_broken_stops_every_task(site: Path) -> None:
    install(site, "bad", "raise RuntimeError('no')")

    with pytest.raises(PluginError, match=r"'bad'.*RuntimeError: no"):
        Host(Catalog({}), ["Host_Bad"]).policy(TaskConfig(command="true"), PolicyContext("p", "p"), lambda c: c)


@pytest.mark.parametrize("environ", [{}, {"FLOW_DISABLE_PLUGINS": "host-guard"}])
def test_a_required_plugin_that_is_not_there_stops_every_task(site: Path, environ: dict[str, str]) -> None:
    if environ:
        install(site, "guard", NAMED.format("guard"))

    with pytest.raises(PluginError, match="the settings require host-guard, which has no host plugin here"):
        Host(Catalog(environ), ["host-guard"]).event(Event("task.submitted", 0.0))


def test_a_required_plugin_that_works_is_asked(site: Path) -> None:
    install(site, "guard", NAMED.format("guard"))

    asked = Host(Catalog({}), ["host-guard"]).policy(TaskConfig(command="true"), PolicyContext("p", "p"), lambda c: c)

    assert asked.name == "guard"


def test_the_settings_say_what_is_required(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flow_core import Flow

    (site / "config").mkdir()
    (site / "config" / "config.yaml").write_text("policy: {plugins: {require: [host-guard]}}\n")
    monkeypatch.setenv("FLOW_HOME", str(site / "config"))

    with pytest.raises(PluginError, match="the settings require host-guard"):
        Flow().provider("local")


def test_the_wrapper_of_the_first_plugin_is_outermost(site: Path) -> None:
    offer = "@hookimpl\ndef flow_scope_wrappers(self, provider, profile):\n    return [profile + {!r}]"
    install(site, "b", offer.format("b"))
    install(site, "a", offer.format("a"))

    assert list(host().wrappers("local", "lab").values()) == ["labb", "laba"]  # pluggy calls the last one first


def test_a_host_plugin_sees_a_config_it_cannot_change() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        TaskConfig(command="true").name = "x"  # type: ignore[misc]
