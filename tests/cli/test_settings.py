"""config, secret, login, logout and whoami."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Program, Site


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of the settings."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_each_value_is_shown_with_its_origin(flow: Program, home: Path) -> None:
    (home / "config.yaml").write_text("default: here\nprofiles:\n  here:\n    provider: local\n")
    lines = [line.split() for line in flow("config", "show").out.splitlines()]
    assert ["default", "here", f"{home}/config.yaml:1"] in lines
    assert ["profiles.here.provider", "local", f"{home}/config.yaml:4"] in lines


def test_a_variable_is_an_origin_too(flow: Program) -> None:
    (row,) = flow("config", "show", "--json", "default", FLOW_DEFAULT="local").data
    assert (row["value"], row["origin"]["layer"], row["origin"]["name"]) == ("local", "environment", "FLOW_DEFAULT")


def test_a_secret_in_a_variable_is_not_shown(flow: Program, home: Path) -> None:
    (home / "config.yaml").write_text("profiles: {lab: {provider: local}}\n")
    answer = flow("config", "show", FLOW_PROFILE_LAB_API_KEY="hunter2-secret")
    assert "hunter2" not in answer.out + answer.err


def test_a_key_that_is_not_set_is_not_found(flow: Program) -> None:
    assert flow("config", "show", "profiles.nope").status == 66


def test_what_is_set_is_shown_and_comments_stay(flow: Program, home: Path) -> None:
    (home / "config.yaml").write_text("# mine\nprofiles: {here: {provider: local}}\n")
    assert flow("config", "set", "default", "here").status == 0
    assert flow("config", "show", "default", "--json").data[0]["value"] == "here"
    assert (home / "config.yaml").read_text().startswith("# mine\n")


def test_a_number_is_set_as_a_number(flow: Program, home: Path) -> None:
    (home / "config.yaml").write_text("profiles: {here: {provider: local}}\n")
    assert flow("config", "set", "profiles.here.max_tasks", "3", "--json").data["value"] == 3


def test_a_setting_that_would_be_refused_changes_nothing(flow: Program, home: Path) -> None:
    answer = flow("config", "set", "profiles", "7")
    assert answer.status == 64
    assert not (home / "config.yaml").exists()


def test_the_path_is_one_line(flow: Program, tmp_path: Path) -> None:
    assert flow("config", "path").out == f"{tmp_path}/home/config.yaml\n"
    assert flow("config", "path", "--json").data["state_dir"] == f"{tmp_path}/home/state"


def test_a_secret_is_kept_listed_given_to_a_task_and_forgotten(flow: Program, home: Path) -> None:
    answer = flow("secret", "set", "TOKEN", text="hunter2-secret\n")
    assert answer.err == f"flow: TOKEN is kept in {home}/secrets.json\n"
    assert stat.S_IMODE((home / "secrets.json").stat().st_mode) == 0o600
    assert flow("secret", "list").out.split() == ["NAME", "STORE", "TOKEN", f"{home}/secrets.json"]
    assert flow("run", "-q", "--secret", "TOKEN", 'test "$TOKEN" = hunter2-secret').status == 0
    assert flow("secret", "delete", "TOKEN").status == 0
    assert flow("secret", "list", "--json").data == []
    assert flow("secret", "delete", "TOKEN").status == 66


def test_a_secret_needs_a_value(flow: Program) -> None:
    answer = flow("secret", "set", "TOKEN", text="")
    assert (answer.status, answer.last_line) == (2, "flow: error[USAGE]: no value of TOKEN was given on stdin")


def test_a_provider_without_login_says_so(flow: Program) -> None:
    for command in ("login", "whoami"):
        answer = flow(command)
        assert (answer.status, answer.last_line) == (67, "flow: error[CAPABILITY]: local needs no login")


_CLOUD = """
    import attrs
    from flow_local import LocalProvider
    from flow_core import AuthError, AuthField, Identity, hookimpl

    @attrs.frozen
    class Settings:
        api_key: object = attrs.field(default=None, metadata={"help": "Key.", "secret": True, "env": "CLOUD_KEY"})

    class Cloud(LocalProvider):
        Settings = Settings

        def __init__(self, settings):
            self._key = settings.api_key

        @hookimpl
        def flow_auth_fields(self):
            return [AuthField("api_key", "API key of the cloud")]

        @hookimpl
        def flow_auth_check(self):
            key = self._key.reveal()
            if key != "hunter2-secret":
                raise AuthError("the key is wrong")
            return Identity("ada", account="lab", detail={"plan": "free"})
"""


def test_a_login_is_kept_used_and_forgotten(flow: Program, site: Site) -> None:
    site.install("flow-cloud", {"flow.providers": {"cloud": "cloud_plugin:Cloud"}}, {"cloud_plugin": _CLOUD})
    assert flow("whoami", "cloud").status == 65
    answer = flow("login", "cloud", text="hunter2-secret\n")
    assert answer.status == 0, answer.err
    assert answer.err.splitlines()[-1] == "flow: logged in as ada"
    assert "hunter2" not in answer.out + answer.err
    assert flow("whoami", "cloud").out.splitlines()[0] == "user     ada"
    assert flow("whoami", "cloud", "--json").data["account"] == "lab"
    assert flow("secret", "list", "--json").data == []
    assert flow("logout", "cloud").err == "flow: forgot api_key\n"
    assert flow("whoami", "cloud").status == 65


def test_a_login_without_an_answer_names_the_credential(flow: Program, site: Site) -> None:
    site.install("flow-cloud", {"flow.providers": {"cloud": "cloud_plugin:Cloud"}}, {"cloud_plugin": _CLOUD})
    answer = flow("login", "cloud", text="")
    assert (answer.status, answer.last_line) == (2, "flow: error[USAGE]: no api_key was given on stdin")


def test_a_wrong_credential_is_told_at_the_login(flow: Program, site: Site) -> None:
    site.install("flow-cloud", {"flow.providers": {"cloud": "cloud_plugin:Cloud"}}, {"cloud_plugin": _CLOUD})
    answer = flow("login", "cloud", text="nonsense\n")
    assert (answer.status, answer.last_line) == (65, "flow: error[AUTH]: the key is wrong")
