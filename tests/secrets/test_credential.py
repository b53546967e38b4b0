"""The order in which a provider's credential is looked for."""

from __future__ import annotations

import sys

import pytest

from flow_core.errors import AuthError
from flow_core.secrets import Credential, Credentials, CredentialSource, FileStore, Secret
from flow_core.types import CredentialRequest

_REQUEST = CredentialRequest("prov", "work", "api_key")


def _source(explicit=None, variable="PROV_API_KEY"):
    return CredentialSource(_REQUEST, variable, explicit)


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "secrets.json")


def test_the_variable_of_the_plugin_comes_before_the_stores(store):
    store.set("flow/prov/work/api_key", "stored")
    assert Credentials([store], environ={"PROV_API_KEY": "variable"}).get(_source()).reveal() == "variable"
    assert Credentials([store], environ={}).get(_source()).reveal() == "stored"


def test_plugins_are_asked_last_and_told_for_what(store):
    asked = []

    def vault(request):
        asked.append(request)
        return Secret("from vault", "api_key")

    assert Credentials([store], [lambda _: None, vault], environ={}).get(_source()).reveal() == "from vault"
    assert asked == [_REQUEST]


def test_a_variable_that_the_profile_names_wins():
    chain = Credentials([], environ={"PROV_API_KEY": "general", "MINE": "mine"})
    assert chain.get(_source({"env": "MINE"})).reveal() == "mine"


def test_what_the_profile_names_never_falls_through_to_another_account():
    with pytest.raises(AuthError, match="the profile work has no api_key: the variable MINE is not set"):
        Credentials([], environ={"PROV_API_KEY": "another's"}).get(_source({"env": "MINE"}))


def test_a_file_gives_its_text_without_the_line_end(tmp_path):
    (tmp_path / "key").write_text("hunter22\n")
    assert Credentials([]).get(_source({"file": str(tmp_path / "key")})).reveal() == "hunter22"


def test_a_file_that_is_missing_is_named():
    with pytest.raises(AuthError, match=r"the file /nowhere/key cannot be read \(No such file"):
        Credentials([]).get(_source({"file": "/nowhere/key"}))


def test_a_command_gives_what_it_prints():
    argv = [sys.executable, "-c", "print('hunter22')"]
    assert Credentials([]).get(_source({"command": argv})).reveal() == "hunter22"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit('locked')", r"ended with 1 \(locked\)"),
        ("pass", "printed nothing"),
    ],
)
def test_a_command_that_gives_nothing_says_why(code, said):
    with pytest.raises(AuthError, match=said):
        Credentials([]).get(_source({"command": [sys.executable, "-c", code]}))


def test_a_command_that_does_not_exist_is_named():
    with pytest.raises(AuthError, match="the command `/nowhere/tool` does not start"):
        Credentials([]).get(_source({"command": ["/nowhere/tool"]}))


def test_a_credential_that_nobody_has_names_all_that_was_asked(store, tmp_path):
    def vault(_):
        return None

    with pytest.raises(AuthError) as error:
        Credentials([store], [vault], environ={}).get(_source())
    assert "the variable PROV_API_KEY" in error.value.message
    assert str(tmp_path / "secrets.json") in error.value.message
    assert "host plugins" in error.value.message
    assert error.value.hint == "run `flow login work` or set PROV_API_KEY"


def test_a_credential_is_looked_for_when_needed_and_again_after_five_minutes():
    now, environ = [0.0], {}
    credential = Credential(_source(), Credentials([], environ=environ), clock=lambda: now[0])
    assert credential.find() is None
    environ["PROV_API_KEY"] = "first"
    assert credential.reveal() == "first"
    environ["PROV_API_KEY"] = "second"
    assert credential.reveal() == "first"
    now[0] = 301.0
    assert credential.reveal() == "second"


def test_a_credential_does_not_print():
    credential = Credential(_source(), Credentials([], environ={"PROV_API_KEY": "hunter22"}))
    assert credential.reveal() == "hunter22"
    assert "hunter22" not in repr(credential) + str(credential)
