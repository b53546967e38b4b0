"""With a store that machines reach, a task needs no client after its submission: its machine fetches all of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from flow_core import Flow, nodes
from flow_core.client import Task
from flow_core.errors import AuthError, TransientError
from flow_core.results import discard_start
from flow_core.types import parse_ref
from flow_mithril.testing import Double

from .booted import PATIENCE, Make, begun, bid, bid_status, live_keys, machine, output, until

SERVICES = Path(__file__).parents[2] / "flow_fsspec" / "tests" / "services.py"


def services() -> ModuleType:
    """The S3 server of the object stores' own tests."""
    spec = spec_from_file_location("flow_fsspec_services", SERVICES)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("botocore", reason="flow-fsspec[s3] is not installed")
    module = services()
    with module.s3_service(tmp_path_factory.mktemp("s3")) as service:
        yield service


@pytest.fixture
def stored(platform: Double, booted: Make, tmp_path: Path, s3: Any) -> Flow:
    """A client whose profile has the S3 server as its store; machines reach that under the same address."""
    platform.control("publish", port=int(s3.endpoint.rpartition(":")[2]))
    booted(self_release="key", result_store="team")
    config = tmp_path / "home" / "config.yaml"
    team = {"store": "fsspec", **s3.profile(), "region": "us-east-1"}
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), "result_stores": {"team": team}}))
    return Flow(cwd=tmp_path / "work")


SECRET = "sesame-of-the-task"
URL = re.compile(r"http://[^\s']+")


def urls(platform: Double, task: Task) -> list[str]:
    """The URLs that a task's startup script has: of the runner, and of the task."""
    script = str(bid(platform, task)["launch_specification"]["startup_script"])
    assert SECRET not in script
    return [url for url in URL.findall(script) if "/start-" in url]


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read())


def test_a_client_that_went_after_the_submission_is_not_missed(
    platform: Double, stored: Flow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = "echo code $FLOW_NODE_IPS; printf %s $TOKEN | wc -c; echo err >&2; echo kept >out.txt; exit 9\n"
    (stored.session.cwd / "say.sh").write_text(text)
    monkeypatch.setenv("TOKEN", SECRET)
    argv = ["run", "-d", "--json", "--secret", "TOKEN", "--output", "out.txt", "sh say.sh"]
    done = subprocess.run([sys.executable, "-m", "flow_core", *argv], cwd=stored.session.cwd, capture_output=True)
    assert (done.returncode, b"staying" in done.stderr) == (0, False), done.stderr
    task = stored.task(json.loads(done.stdout)["data"]["id"])

    until(lambda: bid_status(platform, task) == "Terminated", "the machine does not go by itself")
    runner, start = urls(platform, task)
    assert fetched(start) == b"{}"
    written = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert start.encode() not in written
    assert runner.encode() not in written
    assert task.wait(PATIENCE) == 9
    first, second = output(task).decode().splitlines()
    assert (first.split()[0], first.count("."), second) == ("code", 3, str(len(SECRET)))
    assert [one.path for one in task.artifacts] == ["out.txt"]
    assert not [name for name in live_keys(platform) if name.endswith("-release")]


def test_machines_that_nobody_waits_for_bring_what_each_has_and_go_when_somebody_looks(
    platform: Double, stored: Flow, tmp_path: Path
) -> None:
    config = tmp_path / "home" / "config.yaml"
    config.write_text(config.read_text().replace("self_release: key", "self_release: client"))
    flow = Flow(cwd=stored.session.cwd)
    task = flow.submit("sleep 1; echo said $RANK; echo $RANK >own.$RANK", num_instances=2, outputs=["own.*"])
    assert task.hand_over()
    until(lambda: is_stored(flow, task), "what they keep does not come")

    assert task.wait(PATIENCE) == 0
    assert [(one.path, one.rank) for one in task.artifacts] == [("own.0", 0), ("own.1", 1)]
    assert sorted(output(task).splitlines()) == [b"said 0", b"said 1"]
    assert bid_status(platform, task) == "Terminated"


def is_stored(flow: Flow, task: Task) -> bool:
    return any(info.key.endswith("/final.json") for info in flow.result_store("team").list(f"tasks/{task.id}/"))


def test_an_end_that_only_the_store_tells_is_not_waited_for_at_a_machine_that_is_off(
    platform: Double, stored: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "home" / "config.yaml"
    config.write_text(config.read_text().replace("self_release: key", "self_release: client"))
    flow = Flow(cwd=stored.session.cwd)
    task = flow.submit("echo said; exit 6", num_instances=2)
    assert task.hand_over()
    until(lambda: is_stored(flow, task), "what it keeps does not come")
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("FLOW_SSH", str(ssh))
    for access in flow.provider().node_access(parse_ref(task.row.ref)[2]):
        nodes.disconnect(access)

    assert task.wait() == 6  # it was asked for ever
    assert output(task, rank=1) == b"said\n"
    assert bid_status(platform, task) == "Terminated"


def test_a_task_that_was_fetched_is_followed_and_cancelled_as_any_other(platform: Double, stored: Flow) -> None:
    task = begun(stored.submit("echo on; sleep 600"))
    until(lambda: output(task) == b"on\n", "it says nothing")
    (access,) = stored.provider().node_access(parse_ref(task.row.ref or "")[2])
    shown = on_machine(platform, task, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub")
    assert (access.trust, shown.strip() in access.host_keys) == ("pinned", True)

    assert task.cancel(0.0)
    task.wait(PATIENCE)
    assert task.status == "cancelled"
    assert bid_status(platform, task) == "Terminated"


def test_a_machine_that_shows_another_key_than_it_brought_to_the_store_is_not_spoken_to(
    platform: Double, stored: Flow
) -> None:
    task = begun(stored.submit("sleep 600"))
    (access,) = stored.provider().node_access(parse_ref(task.row.ref or "")[2])
    key = "/etc/ssh/ssh_host_ed25519_key"
    gone = "pkill -o -x sshd; while bash -c ': </dev/tcp/127.0.0.1/22'; do sleep 0.05; done"
    on_machine(platform, task, f"rm {key}; ssh-keygen -q -t ed25519 -N '' -f {key}; {gone}; /usr/sbin/sshd -h {key}")
    nodes.disconnect(access)

    with pytest.raises(AuthError, match="another host key"):
        nodes.run(access, "true")
    assert stored.refresh() == {}  # the others are asked all the same
    assert (task.row.state, "another host key" in task.reason) == ("running", True)


def on_machine(platform: Double, task: Task, command: str) -> str:
    done = platform.control("machine", instance=machine(platform, task), do="run", command=command)
    return str(done["stdout"])


def test_what_the_store_no_longer_has_is_delivered_by_a_client(platform: Double, stored: Flow, tmp_path: Path) -> None:
    kind = "a100-80gb.sxm.2x"
    platform.control("capacity", instance_type=kind, capacity=0)
    config = tmp_path / "home" / "config.yaml"
    config.write_text(config.read_text().replace("self_release: key", "self_release: key\n    host_key_wait: 1s"))
    flow = Flow(cwd=stored.session.cwd)
    task = flow.submit("exit 4", instance_type="2xa100")
    discard_start(stored.result_store("team"), task.id)
    platform.control("capacity", instance_type=kind, capacity=8)

    assert task.wait(PATIENCE) == 4


def test_a_store_that_is_away_fails_the_submission_and_nothing_is_bought(
    platform: Double, stored: Flow, tmp_path: Path
) -> None:
    config = tmp_path / "home" / "config.yaml"
    config.write_text(re.sub(r"endpoint_url: .*", "endpoint_url: http://127.0.0.1:1", config.read_text()))
    before = len(platform.world.all("bids"))
    client = Flow(cwd=stored.session.cwd)

    with pytest.raises(TransientError):
        client.submit("true")
    assert len(platform.world.all("bids")) == before
    (task,) = client.tasks(limit=None)
    assert (task.status, "never submitted" in task.reason) == ("failed", True)
