"""Where secrets are kept and the order in which the stores are asked."""

from __future__ import annotations

import json
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from flow_core.errors import ConfigError, StateError
from flow_core.secrets import (
    CallableStore,
    EnvironmentStore,
    FileStore,
    KeyringStore,
    Secret,
    delete,
    find,
    list_names,
    set_,
    standard_stores,
)


class _Ring(KeyringBackend):
    """A keyring in memory."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError("not there")


def _no_keyring() -> KeyringBackend:
    raise RuntimeError("none works here")


@pytest.fixture
def file(tmp_path):
    return FileStore(tmp_path / "config" / "secrets.json")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "config" / "secrets.json"


def test_the_file_is_private_in_a_private_folder(file, path):
    file.set("token", "hunter22")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert find("token", [file]) == Secret("hunter22")


def test_a_file_that_others_may_read_is_refused_with_the_mend(file, path):
    file.set("token", "hunter22")
    path.chmod(0o640)
    with pytest.raises(StateError, match="can be read by others") as refused:
        file.get("token")
    assert refused.value.hint == f"chmod 600 {path}"


def test_a_damaged_file_is_named(file, path):
    file.set("token", "hunter22")
    path.write_text("{")
    with pytest.raises(StateError, match=r"secrets\.json is damaged"):
        file.get("token")


def test_two_writers_at_once_lose_nothing(file):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: file.set(f"s{number}", "v"), range(20)))
    assert len(file.names()) == 20


def test_the_environment_is_asked_before_the_keyring_and_that_before_the_file_and_plugins(file):
    ring = _Ring()
    environment = EnvironmentStore({"A": "env"})
    keyring = KeyringStore(file, backend=lambda: ring)
    stores = [environment, keyring, file, CallableStore(lambda name: Secret("plugin", name))]
    for name in "ABC":
        file.set(name, "file")
    for name in "AB":
        ring.set_password("flow", name, "ring")
    assert [find(name, stores).reveal() for name in "ABCD"] == ["env", "ring", "file", "plugin"]


def test_a_name_with_slashes_is_a_user_of_a_service_in_the_keyring(file):
    ring = _Ring()
    KeyringStore(file, backend=lambda: ring).set("flow/prov/work/key", "v")
    assert ring.kept == {("flow/prov/work", "key"): "v"}


def test_setting_uses_the_keyring_and_lists_its_names_without_values(file, path):
    ring = _Ring()
    keyring = KeyringStore(file, backend=lambda: ring)
    assert set_("token", "hunter22", [keyring, file]) == "keyring"
    assert list_names([keyring, file]) == {"token": "keyring"}
    assert "hunter22" not in path.read_text()


def test_setting_falls_back_to_the_file_where_no_keyring_works(file, path):
    assert set_("token", "hunter22", [KeyringStore(file, backend=_no_keyring), file]) == str(path)
    assert json.loads(path.read_text())["values"] == {"token": "hunter22"}


def test_deleting_forgets_a_secret_everywhere(file):
    ring = _Ring()
    keyring = KeyringStore(file, backend=lambda: ring)
    keyring.set("token", "a")
    file.set("token", "b")
    assert delete("token", [keyring, file]) is True
    assert find("token", [keyring, file]) is None
    assert delete("token", [keyring, file]) is False
    assert list_names([keyring, file]) == {}


def test_a_secret_in_a_keyring_that_is_gone_is_not_said_to_be_deleted(file):
    ring = _Ring()
    KeyringStore(file, backend=lambda: ring).set("token", "a")
    with pytest.raises(StateError, match="token is in the keyring, which cannot be used now: none works here"):
        delete("token", [KeyringStore(file, backend=_no_keyring), file])


def test_a_keyring_that_hangs_is_given_up_and_not_asked_again(file):
    release, asked = threading.Event(), []

    class Hanging(_Ring):
        def get_password(self, service: str, username: str) -> str | None:
            asked.append((service, username))
            release.wait(5)
            return None

    keyring = KeyringStore(file, seconds=0.02, backend=Hanging)
    assert keyring.get("a") is None
    assert keyring.get("b") is None
    release.set()
    assert asked == [("flow", "a")]
    assert keyring.label == "keyring (no answer within 0.02 s)"


def test_the_keyring_that_cannot_keep_anything_is_not_used(file, monkeypatch):
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    import keyring

    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())
    try:
        store = KeyringStore(file)
        assert store.set("token", "v") is False
        assert store.label == "keyring (none works here)"
    finally:
        keyring.set_keyring(before)


def test_a_name_that_no_store_could_keep_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot name a secret"):
        find("a b", standard_stores(tmp_path))


def test_without_a_writable_store_setting_is_an_error():
    with pytest.raises(StateError, match="no store can keep the secret token"):
        set_("token", "v", [EnvironmentStore({})])


def test_a_file_where_the_folder_should_be_is_named_with_the_mend(tmp_path):
    (tmp_path / "config").write_text("")
    with pytest.raises(StateError, match=f"{tmp_path / 'config'} is a file where Flow needs a folder"):
        FileStore(tmp_path / "config" / "secrets.json").set("token", "v")


def test_a_folder_that_cannot_be_made_is_named_with_the_mend():
    from pathlib import Path

    with pytest.raises(StateError, match="cannot make the folder /proc/flow") as error:
        FileStore(Path("/proc/flow/secrets.json")).set("token", "v")
    assert "FLOW_HOME" in error.value.hint
