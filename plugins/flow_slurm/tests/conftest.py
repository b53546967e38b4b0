"""A Slurm cluster for each process of tests; each test finds it empty."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_core import Flow

from . import cluster as clusters, sshd
from .cluster import Cluster
from .sshd import Sshd


def _needs(accounting: bool = False, rest: bool = False) -> None:
    absent = clusters.missing(accounting, rest)
    if not absent and os.geteuid() == 0:
        return
    reason = f"not installed: {absent}" if absent else "a cluster can be started by root only"
    assert os.environ.get("CI") != "true", reason
    pytest.skip(reason)


@pytest.fixture(scope="session")
def _module_cluster() -> Iterator[Cluster]:
    _needs()
    with clusters.running() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def _module_full_cluster() -> Iterator[Cluster]:
    _needs(accounting=True, rest=True)
    with clusters.running(accounting=True, rest=True) as cluster:
        yield cluster


@pytest.fixture
def cluster(_module_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster without accounting (0.5 s to start), this test's commands talk to it."""
    yield from _lent(_module_cluster, monkeypatch)


@pytest.fixture
def full_cluster(_module_full_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster with slurmdbd and slurmrestd (3 s to start)."""
    yield from _lent(_module_full_cluster, monkeypatch)


@pytest.fixture
def own_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster of this test alone: what a controller forgets, its nodes remember, and refuse the same number again."""
    _needs()
    with clusters.running() as cluster:
        _enter(cluster, monkeypatch)
        yield cluster


def _lent(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    _enter(cluster, monkeypatch)
    yield cluster
    cluster.clear()


def _enter(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def login_node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """A machine with sshd; this test's ssh has no agent, and its sockets in a folder of its own."""
    if not sshd.program():
        assert os.environ.get("CI") != "true", "there is no sshd: apt-get install openssh-server"
        pytest.skip("there is no sshd on this machine")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with sshd.running() as server:
        (server.folder / "run").mkdir(mode=0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(server.folder / "run"))
        yield server


@pytest.fixture
def home(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Flow home whose one profile is the cluster, and an empty folder to be in."""
    folder = tmp_path / "home"
    folder.mkdir()
    root = cluster.shared / f"flow-{tmp_path.name}"
    (folder / "config.yaml").write_text(f"default: lab\nprofiles:\n  lab: {{provider: slurm, root: {root}}}\n")
    (folder / "config.yaml").chmod(0o600)
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("FLOW_HOME", str(folder))
    monkeypatch.chdir(tmp_path / "work")
    return folder


@pytest.fixture
def root(cluster: Cluster, tmp_path: Path) -> Path:
    """The shared folder of the profile."""
    return cluster.shared / f"flow-{tmp_path.name}"


@pytest.fixture
def flow(home: Path) -> Flow:
    return Flow()
