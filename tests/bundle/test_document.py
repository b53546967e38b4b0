"""The document that the runner reads."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flow_core.bundle import build
from flow_core.errors import ConfigError
from flow_core.runner import bundle as reading
from flow_core.types import (
    Bundle,
    CodeSpec,
    HealthSpec,
    Mount,
    PortSpec,
    ProviderFacts,
    Resources,
    SecretRef,
    TaskConfig,
)

SHARES, APART = ProviderFacts(shares_client_files=True), ProviderFacts()


def made(config: TaskConfig, cwd: Path, facts: ProviderFacts = SHARES, **more: Any) -> Bundle:
    secrets = more.pop("secrets", {})
    return build(
        config,
        task_id="t1",
        request_id="flow-1",
        name="n",
        facts=facts,
        secrets=secrets,
        cwd=cwd,
        created_at=5.0,
        **more,
    )


def as_read(bundle: Bundle, folder: Path) -> reading.Bundle:
    (folder / "bundle.json").write_text(json.dumps(dict(bundle.document)))
    return reading.read(str(folder))


def test_the_runner_reads_what_was_asked_for(tmp_path: Path) -> None:
    config = TaskConfig(
        command=("python", "train.py"),
        num_instances=2,
        processes_per_node=4,
        env={"A": "1"},
        resources=Resources(gpu="h100", gpu_count=8, cpus=2.5, memory=1 << 30),
        time_limit=90.0,
        grace=3.0,
        stop_signal="INT",
        retries=2,
        priority=7,
        max_price_per_hour=Decimal("1.5"),
    )
    found = as_read(made(config, tmp_path, first_attempt=3), tmp_path)
    assert (found.argv, found.num_instances, found.processes_per_node) == (["python", "train.py"], 2, 4)
    assert (found.task_id, found.request_id, found.first_attempt, found.created_at) == ("t1", "flow-1", 3, 5.0)
    assert (found.limits.time_limit, found.limits.grace, found.limits.stop_signal) == (90.0, 3.0, 2)
    assert (found.limits.cpus, found.limits.memory, found.limits.gpu_count) == (2.5, 1 << 30, 8)
    assert (found.retry.retries, found.env, found.priority) == (2, {"A": "1"}, 7)


def test_text_is_given_to_a_shell(tmp_path: Path) -> None:
    assert as_read(made(TaskConfig(command="a | b"), tmp_path), tmp_path).argv == ["/bin/sh", "-c", "a | b"]


@pytest.mark.parametrize(
    ("kind", "gpus", "cpus"), [("8xh100", 8, None), ("a100:2", 2, None), ("32xcpu", 0, 32.0), ("p4d.24xlarge", 0, None)]
)
def test_the_instance_type_says_what_the_resources_leave_open(
    tmp_path: Path, kind: str, gpus: int, cpus: float | None
) -> None:
    limits = as_read(made(TaskConfig(command="x", instance_type=kind), tmp_path), tmp_path).limits
    assert (limits.gpu_count, limits.cpus) == (gpus, cpus)


def test_code_is_used_in_place_where_the_provider_sees_it(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    bundle = made(TaskConfig(command="x", code=CodeSpec(root="src"), working_dir="deep"), tmp_path)
    assert bundle.document["code"] == {"mode": "inplace", "root": str(tmp_path / "src")}
    assert bundle.document["working_dir"] == str(tmp_path / "src" / "deep")
    assert bundle.code is None


def test_code_is_copied_where_the_provider_is_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    (tmp_path / "b.py").write_text("")
    bundle = made(TaskConfig(command="x", code=CodeSpec(exclude=("b.py",)), working_dir="deep"), tmp_path, APART)
    assert bundle.document["code"] == {"mode": "snapshot", "root": None}
    assert (bundle.code, bundle.code_files) == (str(tmp_path), ("a.py",))
    assert bundle.document["working_dir"] == "deep"


def test_no_code_means_none(tmp_path: Path) -> None:
    bundle = made(TaskConfig(command="x", code=CodeSpec(mode="none", root="missing")), tmp_path, APART)
    assert (bundle.document["code"], bundle.code) == ({"mode": "none", "root": None}, None)


@pytest.mark.parametrize("facts", [SHARES, APART])
def test_a_code_folder_that_is_missing_is_an_error(tmp_path: Path, facts: ProviderFacts) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        made(TaskConfig(command="x", code=CodeSpec(root="missing")), tmp_path, facts)


def test_sources_of_mounts_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    mounts = tuple(Mount(source, "/m") for source in ("data", "~/data", "/data", "volume:v", "s3://b/p"))
    found = [mount["source"] for mount in made(TaskConfig(command="x", mounts=mounts), tmp_path).document["mounts"]]  # type: ignore[attr-defined]
    assert found == [str(tmp_path / "data"), "/home/me/data", "/data", "volume:v", "s3://b/p"]


def test_secrets_travel_beside_the_document_never_in_it(tmp_path: Path) -> None:
    refs = (SecretRef("token", env="TOKEN"), SecretRef("key", file="~/.key"))
    bundle = made(
        TaskConfig(command="x", secrets=refs), tmp_path, secrets={"token": "s3cr3t", "key": "k3y", "other": "o"}
    )
    assert dict(bundle.secrets.values) == {"token": "s3cr3t", "key": "k3y"}
    assert bundle.document["secrets"] == {"names": {"TOKEN": "token"}, "files": {"~/.key": "key"}}
    assert not any(value in json.dumps(dict(bundle.document)) for value in ("s3cr3t", "k3y"))


def test_a_secret_without_a_value_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no value for the secret token"):
        made(TaskConfig(command="x", secrets=(SecretRef("token"),)), tmp_path)


def test_a_function_is_called_by_the_command_that_stands_in_for_it(tmp_path: Path) -> None:
    bundle = made(TaskConfig(), tmp_path, command=("python3", "entry.py"), files={"entry.py": b"pass"})
    assert bundle.document["command"] == {"argv": ["python3", "entry.py"]}
    assert list(bundle.document["files"]) == ["entry.py"]  # type: ignore[call-overload]
    assert bundle.files == {"entry.py": b"pass"}


def test_nothing_to_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to run"):
        made(TaskConfig(), tmp_path)


def test_every_field_is_json(tmp_path: Path) -> None:
    config = TaskConfig(
        command="x", ports=(PortSpec(0, "web"),), health=HealthSpec(tcp="web"), image="i", outputs=("*.pt",)
    )
    document = dict(made(config, tmp_path).document)
    assert json.loads(json.dumps(document)) == document


def test_what_it_waits_for_is_passed_on(tmp_path: Path) -> None:
    waits = [{"task": "t0", "ref": "flow-0", "any": False}]
    assert made(TaskConfig(command="x"), tmp_path, depends_on=waits).document["depends_on"] == waits
