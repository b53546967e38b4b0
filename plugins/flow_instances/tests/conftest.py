"""A place for machines for each test, and ssh to them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import flow_instances
from flow_instances import Machine, Plan, Site

Login = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bootable() -> None:
    """Machines can boot here."""
    problem = flow_instances.unavailable()
    if problem:
        pytest.skip(problem)


@pytest.fixture
def site(bootable: None) -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture
def plan(key: Path) -> Plan:
    return Plan(keys=[key.with_suffix(".pub").read_text().strip()])


@pytest.fixture
def login(key: Path, tmp_path: Path) -> Login:
    """Run a command over ssh, with the host key that the console told."""

    def run(machine: Machine, command: str, timeout: int = 10) -> subprocess.CompletedProcess[str]:
        known = tmp_path / f"known-{machine.name}"
        known.write_text(f"{machine.address} {machine.host_key()}\n")
        options = {"UserKnownHostsFile": known, "StrictHostKeyChecking": "yes", "BatchMode": "yes"}
        words = [f"-o{name}={value}" for name, value in {**options, "ConnectTimeout": 2}.items()]
        target = f"{machine.user}@{machine.address}"
        argv = ["ssh", "-F", "/dev/null", "-i", str(key), *words, target, command]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout)

    return run
