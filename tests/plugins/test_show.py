"""`flow plugins show`: what a plugin can do and what may be set, found by importing it in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import attrs
from flow_core import Secret, hookimpl
from flow_core.hookspecs import SecretHooks

@attrs.frozen
class Settings:
    region: str = attrs.field(metadata={"help": "Where it is."})
    token: str = attrs.field(default="hidden", metadata={"help": "The key.", "secret": True, "env": "VAULT_TOKEN"})
    seconds: float = attrs.field(default=5.0, metadata={"help": "Patience."})

class Store(SecretHooks):
    Settings = Settings
    @hookimpl
    def flow_secret_get(self, name): return None
    @hookimpl
    def flow_secret_list(self): return []
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    info = tmp_path / "vault_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vault-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[flow.secret_stores]\nvault = vault_plugin:Store\n")
    (tmp_path / "vault_plugin.py").write_text(MODULE)
    return {**os.environ, "PYTHONPATH": str(tmp_path), "FLOW_HOME": str(tmp_path / "home")}


def show(environ: dict[str, str], *words: str) -> str:
    argv = [sys.executable, "-m", "flow_core", "plugins", "show", "vault", *words]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=True).stdout


def test_settings_are_shown_with_type_default_help_and_variable(environ: dict[str, str]) -> None:
    lines = [line.split("  ", 1)[1].strip() for line in show(environ).splitlines() if line.startswith("setting")]

    assert lines == [
        "region: str, required. Where it is.",
        "token: secret. The key. (variable VAULT_TOKEN)",
        "seconds: float = 5.0. Patience.",
    ]


def test_the_default_of_a_secret_is_not_shown(environ: dict[str, str]) -> None:
    assert "hidden" not in show(environ) + show(environ, "--json")


def test_a_program_gets_hooks_and_settings_too(environ: dict[str, str]) -> None:
    (found,) = json.loads(show(environ, "--json"))["data"]

    assert found["hooks"] == ["flow_secret_get", "flow_secret_list"]
    assert found["settings"]["seconds"] == {"type": "float", "default": "5.0", "help": "Patience.", "env": ""}


GUARD = """
from flow_core import hookimpl
from flow_core.hookspecs import HostHooks

class Audit:
    @hookimpl(wrapper=True)
    def flow_provision_submit(self):
        return (yield)

class Guard(HostHooks):
    @hookimpl
    def flow_scope_wrappers(self, provider, profile): return [Audit()]
"""


def test_what_others_put_around_a_provider_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    info = tmp_path / "guard_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guard-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[flow.plugins]\nguard = guard_plugin:Guard\n")
    (tmp_path / "guard_plugin.py").write_text(GUARD)

    argv = [sys.executable, "-m", "flow_core", "plugins", "show", "local", "--json"]
    shown = json.loads(subprocess.run(argv, env=environ, capture_output=True, text=True, check=True).stdout)

    assert shown["data"][0]["wrappers"] == ["Audit of guard"]
