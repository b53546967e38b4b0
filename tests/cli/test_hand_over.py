"""A command that submits and does not wait stays until the machines have what only it can bring."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess

    from conftest import Program, Site

_FAR = """
    import os

    import attrs

    from flow_local import LocalProvider
    from flow_core import CodeSpec, FrontendTask, ProviderFacts, TaskConfig, hookimpl
    from flow_core.hookspecs import FrontendHooks

    class Far(LocalProvider):
        @hookimpl
        def flow_provider_facts(self):
            return ProviderFacts(shares_client_files=True, prompt=True, restarts_by_itself=True, attended=True)

        @hookimpl
        def flow_provision_status(self, refs):
            waits = not os.path.exists("delivered")
            found = super().flow_provision_status(refs)
            return {ref: attrs.evolve(report, needs_client=waits) for ref, report in found.items()}

    class Twice(FrontendHooks):
        @hookimpl
        def flow_frontend_detect(self, source):
            return 0.9 if source.endswith(".twice") else 0.0

        @hookimpl
        def flow_frontend_read(self, source, arguments):
            return [FrontendTask(TaskConfig(command="sleep 60", name=name, provider="far")) for name in ("one", "two")]
"""


@pytest.fixture
def far(flow: Program, site: Site) -> Program:
    """The program with a provider whose machines wait for this client until the file ``delivered`` is there."""
    entry_points = {"flow.providers": {"far": "far_plugin:Far"}, "flow.frontends": {"twice": "far_plugin:Twice"}}
    site.install("flow-far", entry_points, {"far_plugin": _FAR})
    (flow.folder / "batch.twice").touch()
    return flow


def staying(started: subprocess.Popen[bytes]) -> str:
    """Return the line that says that a command stays."""
    assert started.stderr is not None
    return next(line for line in map(bytes.decode, started.stderr) if "staying until" in line)


@pytest.fixture
def earlier(far: Program) -> str:
    """A task that had its files, and runs."""
    (far.folder / "delivered").touch()
    task = far.submit("sleep 60", "--provider", "far", "--name", "earlier")
    (far.folder / "delivered").unlink()
    return task


def test_a_retry_stays_as_a_detached_run_does(far: Program, earlier: str) -> None:
    started = far.start("retry", earlier)
    assert '"earlier"' in staying(started)
    (far.folder / "delivered").touch()
    out, err = started.communicate(timeout=60)
    assert (started.returncode, len(out.split())) == (0, 1)
    assert b"needs this command no more" in err


def test_a_file_of_several_tasks_stays_for_all_of_them(far: Program) -> None:
    started = far.start("run", "-d", "batch.twice")
    line = staying(started)
    assert '"one"' in line
    assert '"two"' in line
    (far.folder / "delivered").touch()
    started.communicate(timeout=60)
    assert started.returncode == 0


def test_who_leaves_is_told_how_it_goes_on(far: Program, earlier: str) -> None:
    started = far.start("retry", earlier)
    staying(started)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert started.returncode == 0
    assert f"flow status {out.decode().strip()} delivers them later" in err.decode()
