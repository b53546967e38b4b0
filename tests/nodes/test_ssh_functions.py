"""Functions on a machine behind a real sshd, whose Python is another one and has no cloudpickle."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import flow_core as flow
from flow_core.errors import TaskFailed
from flow_core.types import LIVE_STATES

if TYPE_CHECKING:
    from conftest import Sshd

PROVIDER = """
import os
from pathlib import Path
import attrs
from flow_core import NodeAccess, NotFoundError, ProviderFacts, TaskRef, hookimpl, nodes
from flow_core.hookspecs import NodeHooks, ProvisionHooks

@attrs.frozen
class Settings:
    root: Path = attrs.field(metadata={"help": "Folder of the tasks."})
    port: int = attrs.field(metadata={"help": "Port of sshd."})
    host_key: str = attrs.field(metadata={"help": "Its key."})
    key: str = attrs.field(metadata={"help": "The user's."})

class Far(ProvisionHooks, NodeHooks):
    Settings = Settings

    def __init__(self, settings):
        self.settings = settings

    @hookimpl
    def flow_provider_facts(self):
        return ProviderFacts(separate_streams=True, min_poll_seconds=0.05)

    @hookimpl
    def flow_provision_submit(self, submission):
        nodes.spawn(nodes.stage(self.settings.root, submission), 0)
        return TaskRef(submission.request_id)

    @hookimpl
    def flow_provision_find(self, request_ids, since):
        return {name: [TaskRef(name)] for name in request_ids if (self.settings.root / name).is_dir()}

    @hookimpl
    def flow_provision_status(self, refs):
        return {ref: nodes.report(self.settings.root / ref.id) for ref in refs}

    @hookimpl
    def flow_provision_cancel(self, ref, grace_seconds):
        return nodes.cancel(self.settings.root / ref.id, grace_seconds)

    @hookimpl
    def flow_node_access(self, ref):
        s = self.settings
        return [NodeAccess(0, "ssh", str(s.root / ref.id), host="127.0.0.1", port=s.port, host_keys=(s.host_key,), identity_file=s.key)]
"""
CODE = """
import os, sys

def square(x):
    return x * x

def pair(x):
    return (x, {x})

def note(x):
    with open(NOTED, "a") as file:
        file.write("%d\\n" % x)
    return x

def version():
    return list(sys.version_info[:2]), "cloudpickle" in sys.modules
"""
PYTHON = "/usr/bin/python3"


@pytest.fixture(autouse=True)
def far(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the code; tasks go to the machine behind the sshd."""
    site, work, home = tmp_path / "site", tmp_path / "work", tmp_path / "flow"
    info = site / "flow_far-0.1.0.dist-info"
    info.mkdir(parents=True)
    work.mkdir()
    (site / "flow_far.py").write_text(PROVIDER)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: flow-far\nVersion: 0.1.0\nRequires-Dist: flow-core>=1,<2\n"
    )
    (info / "entry_points.txt").write_text("[flow.providers]\nfar = flow_far:Far\n")
    home.mkdir()
    settings = (
        f"root: {tmp_path}/tasks\n    port: {sshd.port}\n    host_key: {sshd.public_host_key}\n    key: {sshd.key}"
    )
    (home / "config.yaml").write_text(f"default: far\nprofiles:\n  far:\n    provider: far\n    {settings}\n")
    (work / "far_code.py").write_text(f"NOTED = {str(tmp_path / 'noted')!r}\n" + CODE)
    monkeypatch.setenv("FLOW_HOME", str(home))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.syspath_prepend(str(work))
    monkeypatch.chdir(work)
    yield work
    for name in ("flow_far", "far_code"):
        sys.modules.pop(name, None)
    for task in flow.tasks(None, states=LIVE_STATES):
        task.cancel(0.0)
        task.wait(10.0)


def test_a_function_of_a_file_is_called_there() -> None:
    assert flow.invoke("far_code.py", "square", args=[7], stream=False) == 49


def test_results_that_are_no_plain_data_come_back() -> None:
    assert flow.invoke("far_code.py", "pair", args=[7], stream=False) == (7, {7})


def test_a_function_that_travels_itself_needs_no_cloudpickle_there() -> None:
    offset = 2
    assert flow.invoke(lambda x: x + offset, args=[1], stream=False, python=sys.executable) == 3


@pytest.mark.skipif(not Path(PYTHON).exists(), reason="this machine has no Python of its own")
def test_another_python_is_refused_before_code_of_this_one_runs() -> None:
    version, _ = flow.invoke("far_code.py", "version", stream=False, python=PYTHON)
    if version == list(sys.version_info[:2]):
        assert flow.invoke(lambda: 3, stream=False, python=PYTHON) == 3
    else:
        with pytest.raises(TaskFailed, match="it holds code of Python"):
            flow.invoke(lambda: 3, stream=False, python=PYTHON)


def test_a_map_runs_there_and_goes_on_later(tmp_path: Path) -> None:
    note = flow.function(import_module("far_code").note)
    results = note.map(range(30), resume="far", max_workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()
    assert list(note.map(range(30), resume="far", max_workers=2)) == list(range(30))
    done = [int(line) for line in (tmp_path / "noted").read_text().split()]
    assert sorted(set(done)) == list(range(30))


def test_a_map_outlives_a_cut_connection(sshd: Sshd) -> None:
    results = flow.function(import_module("far_code").square).map(range(300), max_workers=1)
    found = [next(results) for _ in range(10)]
    sshd.cut()
    assert [*found, *results] == [x * x for x in range(300)]
