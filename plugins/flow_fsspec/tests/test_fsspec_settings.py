"""What a configuration may say, and what is refused when the store is opened, before any byte is sent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from flow_core import AuthError, ConfigError, FlowError, NotFoundError, PluginError

from .opened import get, open_store, put
from .services import S3Service


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "bucket/prefix"}, "no url"),
        ({"url": "s3://"}, "names no bucket"),
        ({"url": "az://container"}, "storage account"),
        ({"url": "https://host/x"}, "cannot be written over https"),
        ({"url": "simplecache::s3://b"}, "no url"),
        ({"url": "nosuch://b"}, "no file system is known"),
        ({"url": "s3://b", "endpoint_url": "http://store.example.org"}, "plain http"),
        ({"url": "s3://b", "endpoint_url": "http://127.0.0.1.example.org"}, "plain http"),
        ({"url": "s3://b", "endpoint_url": "https://user:pass@store.example.org"}, "endpoint_url must be"),
        ({"url": "s3://b", "endpoint_url": "store.example.org"}, "endpoint_url must be"),
        ({"url": "s3://b", "secret_key": "written-here"}, "secret_key"),
        ({"url": "s3://b", "keep": "soon"}, "keep"),
        ({"url": "s3://b", "bucket": "b"}, "bucket"),
        ({}, "url"),
    ],
)
def test_settings_that_cannot_work_are_refused(home: Path, settings: Mapping[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as told:
        open_store(home, settings)
    assert said in str(told.value)
    assert "pass@" not in str(told.value)
    assert "written-here" not in str(told.value)


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://store.example.org"]
)
def test_endpoints_of_this_machine_and_https_are_taken(home: Path, endpoint: str) -> None:
    open_store(home, {"url": "s3://b", "endpoint_url": endpoint})


def test_an_endpoint_from_the_environment_is_held_to_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store.example.org")
    store = open_store(home, {"url": "s3://b", "region": "eu-west-1"})
    with pytest.raises(ConfigError, match="plain http"):
        put(store, "a", b"x")


@pytest.mark.parametrize(("url", "extra"), [("s3://b", "s3"), ("gs://b", "gs"), ("az://b", "az")])
def test_a_missing_extra_is_named(home: Path, monkeypatch: pytest.MonkeyPatch, url: str, extra: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PluginError) as told:
        open_store(home, {"url": url, "account": "a"} if extra == "az" else {"url": url})
    assert f"flow-fsspec[{extra}]" in told.value.hint


def test_the_plugin_imports_no_sdk() -> None:
    script = "import sys, flow_fsspec; print([n for n in ('botocore', 'google.cloud', 'azure', 'fsspec') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_ambient_chain_of_the_sdk_is_used_without_settings(
    s3: S3Service, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "flowkey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "flowsecret")
    store = open_store(home, {"url": "s3://kit/ambient", "endpoint_url": s3.endpoint})
    put(store, "a", b"x")
    assert get(store, "a") == b"x"
    store.delete("a")


def test_a_service_account_that_is_no_key_is_a_config_error(home: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("{}")
    store = open_store(home, {"url": "gs://b", "service_account": {"file": str(tmp_path / "key")}})
    with pytest.raises(ConfigError, match="service_account"):
        store.stat("a")


def test_azure_refuses_a_wrong_account_key(azure: Mapping[str, object], home: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("bm90LXRoZS1rZXk=")
    store = open_store(home, {**azure, "account_key": {"file": str(tmp_path / "key")}})
    with pytest.raises(AuthError):
        put(store, "a", b"x")


@pytest.mark.parametrize("kind", ["gcs", "azure"])
def test_a_missing_bucket_is_named(request: pytest.FixtureRequest, home: Path, kind: str) -> None:
    profile = request.getfixturevalue(kind)
    store = open_store(home, {**profile, "url": profile["url"].replace("kit", "no-such-bucket")})
    with pytest.raises(NotFoundError):
        put(store, "a", b"x")


def test_a_prefix_keeps_stores_apart(s3: S3Service, home: Path) -> None:
    one, two = (open_store(home, s3.profile(url=f"s3://kit/apart/{name}/")) for name in ("one", "two"))
    put(one, "a", b"1")
    assert list(two.list()) == []
    assert [info.key for info in one.list()] == ["a"]


def test_a_read_only_folder_is_an_error_of_its_own(home: Path) -> None:
    store = open_store(home, {"url": "file:///proc/flow-store"})
    with pytest.raises(FlowError) as told:
        put(store, "a", b"x")
    assert told.value.code != "PROVIDER"
