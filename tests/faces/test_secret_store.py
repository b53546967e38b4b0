"""Secret stores of plugins: asked last, imported when asked, none able to hide the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flow_core import Flow, Secret
from flow_core.errors import AuthError, PluginError
from flow_core.secrets import delete, find, list_names, set_

HEAD = """
from flow_core import AuthError, Secret, hookimpl
from flow_core.hookspecs import SecretHooks
"""
READER = """
class Store(SecretHooks):
    @hookimpl
    def flow_secret_get(self, name): return Secret("from vault", name) if name == "TOKEN" else None
    @hookimpl
    def flow_secret_list(self): return ["TOKEN"]
"""
WRITER = (
    READER
    + """
    kept = []
    @hookimpl
    def flow_secret_set(self, name, value):
        self.kept.append((name, value.reveal()))
        return True
    @hookimpl
    def flow_secret_delete(self, name): return name == "TOKEN"
"""
)
CLOSED = """
class Store(SecretHooks):
    @hookimpl
    def flow_secret_get(self, name): raise AuthError("the vault is closed", "vault login")
    @hookimpl
    def flow_secret_list(self): raise AuthError("the vault is closed", "vault login")
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, name: str, body: str) -> str:
    module = f"secrets_{site.name.replace('-', '_')}_{name}"
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: secrets-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[flow.secret_stores]\n{name} = {module}:Store\n")
    (site / f"{module}.py").write_text(HEAD + body)
    return module


def test_a_plugins_secret_is_found(site: Path) -> None:
    install(site, "vault", READER)

    assert find("TOKEN", Flow().session.secret_stores) == Secret("from vault")


def test_a_secret_of_the_environment_is_found_first_and_imports_no_plugin(site: Path) -> None:
    module = install(site, "vault", READER)

    stores = Flow(environ={"TOKEN": "mine", "FLOW_HOME": str(site)}).session.secret_stores

    assert find("TOKEN", stores) == Secret("mine")
    assert module not in sys.modules


def test_a_store_that_cannot_be_asked_is_passed_over_when_another_has_the_secret(site: Path) -> None:
    install(site, "a", CLOSED)
    install(site, "b", READER)

    assert find("TOKEN", Flow().session.secret_stores) == Secret("from vault")


def test_what_keeps_a_store_from_answering_is_said_when_no_other_has_the_secret(site: Path) -> None:
    install(site, "a", CLOSED)

    with pytest.raises(AuthError, match="the vault is closed"):
        find("TOKEN", Flow().session.secret_stores)


def test_a_broken_store_is_named_and_hides_no_list(site: Path) -> None:
    install(site, "a", "raise RuntimeError('boom')")
    install(site, "b", READER)
    stores = Flow().session.secret_stores

    with pytest.warns(UserWarning, match=r"'a' \(secrets-a 1.0\).*boom; its secrets are not listed"):
        assert list_names(stores)["TOKEN"] == "secret store 'b' (secrets-b 1.0)"
    with pytest.raises(PluginError, match="secrets-a"):
        find("OTHER", stores)


def test_a_store_that_can_only_be_read_keeps_and_forgets_nothing(site: Path) -> None:
    install(site, "vault", READER)
    vault = [store for store in Flow().session.secret_stores if "vault" in store.label]

    assert delete("TOKEN", vault) is False


def test_a_store_that_can_be_written_keeps_and_forgets(site: Path) -> None:
    install(site, "vault", WRITER)
    vault = [store for store in Flow().session.secret_stores if "vault" in store.label]

    assert set_("NEW", "value", vault) == "secret store 'vault' (secrets-vault 1.0)"
    assert delete("TOKEN", vault) is True


def test_flow_secret_set_can_name_the_store(site: Path) -> None:
    install(site, "vault", WRITER)
    install(site, "bare", READER)

    def kept_in(store: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "flow_core", "secret", "set", "NEW", "--store", store]
        environ = {**os.environ, "PYTHONPATH": str(site)}
        return subprocess.run(argv, env=environ, input="value\n", capture_output=True, text=True, check=False)

    assert "NEW is kept in secret store 'vault' (secrets-vault 1.0)" in kept_in("vault").stderr
    assert "no store can keep the secret NEW" in kept_in("bare").stderr
    assert "no secret store 'nowhere' is installed" in kept_in("nowhere").stderr


def test_a_value_that_is_no_secret_is_the_plugins_fault(site: Path) -> None:
    install(site, "vault", READER.replace('Secret("from vault", name)', '"plain"'))

    with pytest.raises(PluginError, match="flow_secret_get returned str, not Secret"):
        find("TOKEN", Flow().session.secret_stores)
