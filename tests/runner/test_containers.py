"""What is started for a container, with engines and devices that this machine need not have."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flow_core.runner import bundle as bundles, containers

from .machine import bundle

RANK = {"FLOW_ATTEMPT": "2", "FLOW_NODE_RANK": "1", "LOCAL_RANK": "0", "FLOW_TASK_ID": "t1"}


def image(engine: str, **fields: Any) -> dict[str, Any]:
    return {"reference": "org/image:1", "engine": engine, "program": f"/bin/{engine}", "user": "7:8", **fields}


def read(folder: Path, engine: str, **keys: Any) -> bundles.Bundle:
    doc = {**bundle("flow-abc", "true", image=image(engine, **keys.pop("image", {}))), **keys}
    (folder / "bundle.json").write_text(json.dumps(doc))
    return bundles.read(str(folder))


def start(folder: Path, engine: str, env: dict[str, str] | None = None, **keys: Any) -> containers.Start:
    argv = keys.pop("argv", ["train", "-x"])
    found = read(folder, engine, **keys)
    return containers.running(str(folder), found, {**RANK, **(env or {})}, "/code", argv)


def after(argv: list[str], flag: str) -> list[str]:
    return [value for word, value in pairwise(argv) if word == flag]


@pytest.mark.parametrize("engine", ["podman", "docker"])
def test_a_container_is_named_by_request_attempt_and_rank(tmp_path: Path, engine: str) -> None:
    argv = start(tmp_path, engine).argv
    assert after(argv, "--name") == ["flow-abc-2-1"]
    assert argv[-3:] == ["org/image:1", "train", "-x"]
    removed = containers.removal(read(tmp_path, engine, processes_per_node=2), 2, 1).argv
    assert removed[-2:] == ["flow-abc-2-1-0", "flow-abc-2-1-1"]


def test_gpus_are_given_by_device_and_counted_from_0_inside(tmp_path: Path) -> None:
    limits, env = {"gpu_count": 2}, {"CUDA_VISIBLE_DEVICES": "3,5"}
    podman = start(tmp_path, "podman", env, limits=limits)
    assert after(podman.argv, "--device") == ["nvidia.com/gpu=3", "nvidia.com/gpu=5"]
    assert podman.env["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert after(start(tmp_path, "docker", env, limits=limits).argv, "--gpus") == ['"device=3,5"']
    apptainer = start(tmp_path, "apptainer", env, limits=limits)
    assert "--nv" in apptainer.argv
    assert apptainer.env["APPTAINERENV_CUDA_VISIBLE_DEVICES"] == "3,5"


def test_where_nobody_shares_the_gpus_out_a_task_that_asked_for_some_has_all(tmp_path: Path) -> None:
    limits = {"gpu_count": 8}
    docker = start(tmp_path, "docker", limits=limits)
    assert after(docker.argv, "--gpus") == ["all"]
    assert "CUDA_VISIBLE_DEVICES" not in docker.env
    assert after(start(tmp_path, "podman", limits=limits).argv, "--device") == ["nvidia.com/gpu=all"]
    assert "--nv" in start(tmp_path, "apptainer", limits=limits).argv


def test_gpus_that_are_named_for_good_keep_their_names(tmp_path: Path) -> None:
    found = start(tmp_path, "docker", {"CUDA_VISIBLE_DEVICES": "GPU-1a,GPU-2b"}, limits={"gpu_count": 2})
    assert found.env["CUDA_VISIBLE_DEVICES"] == "GPU-1a,GPU-2b"


@pytest.mark.parametrize("engine", ["podman", "docker", "apptainer"])
def test_without_a_claim_no_gpu_is_given(tmp_path: Path, engine: str) -> None:
    argv = start(tmp_path, engine, {"CUDA_VISIBLE_DEVICES": "0"}).argv
    assert not {"--device", "--gpus", "--nv"} & set(argv)


def test_files_belong_to_a_user_without_privileges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 7)
    found = start(tmp_path, "podman")
    assert after(found.argv, "--userns") == ["keep-id"]
    assert after(found.argv, "--user") == ["7:8"]
    assert "HOME=/tmp" in after(found.argv, "--env")


@pytest.mark.parametrize("engine", ["podman", "docker", "apptainer"])
def test_values_are_in_the_engines_environment_and_not_in_its_arguments(tmp_path: Path, engine: str) -> None:
    secrets = {"names": {"TOKEN": "TOKEN"}}
    found = start(tmp_path, engine, {"TOKEN": "hush", "A": "b\nc"}, secrets=secrets, image={"env": {"PATH": "/engine"}})
    assert "hush" not in " ".join(found.argv)
    prefix = "APPTAINERENV_" if engine == "apptainer" else ""
    assert (found.env[prefix + "TOKEN"], found.env[prefix + "A"], found.env["PATH"]) == ("hush", "b\nc", "/engine")


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "DOCKER_HOST"])
def test_a_secret_that_would_be_the_engines_own_variable_is_refused(tmp_path: Path, name: str) -> None:
    secrets, engine = {"names": {name: "TOKEN"}}, {"env": {"DOCKER_HOST": "unix:///x"}}
    with pytest.raises(bundles.BundleError, match=f"cannot be the variable {name}"):
        start(tmp_path, "docker", {name: "hush"}, secrets=secrets, image=engine)


def test_a_variable_of_the_task_does_not_become_the_engines(tmp_path: Path) -> None:
    found = start(tmp_path, "docker", {"DOCKER_HOST": "mine"}, image={"env": {"DOCKER_HOST": "unix:///x"}})
    assert found.env["DOCKER_HOST"] == "unix:///x"
    assert "DOCKER_HOST=mine" in after(found.argv, "--env")


@pytest.mark.parametrize(
    ("reference", "want"),
    [
        ("org/image:1", "docker://org/image:1"),
        ("/data/x.sif", "/data/x.sif"),
        ("x.sif", "x.sif"),
        ("oras://h/x", "oras://h/x"),
    ],
)
def test_apptainer_takes_references_and_files(tmp_path: Path, reference: str, want: str) -> None:
    assert want in start(tmp_path, "apptainer", image={"reference": reference}).argv


def test_mounts_stand_where_they_are_asked_for(tmp_path: Path) -> None:
    mounts = [
        {"source": "/d", "target": "/in/deep", "read_only": True},
        {"source": "/e:f", "target": "/in", "read_only": False},
    ]
    for engine, flag, at in (("podman", "--volume", "target"), ("apptainer", "--bind", "destination")):
        argv = start(tmp_path, engine, mounts=mounts, code={"mode": "inplace", "root": "/code"}).argv
        assert after(argv, flag) == [f"{tmp_path}:{tmp_path}", "/code:/code", "/d:/in/deep:ro"]
        assert after(argv, "--mount") == [f"type=bind,source=/e:f,{at}=/in"]


def test_without_an_engine_the_task_says_so(tmp_path: Path) -> None:
    with pytest.raises(bundles.BundleError, match="no container engine"):
        start(tmp_path, "")
    assert not containers.outlives(read(tmp_path, "").image)
