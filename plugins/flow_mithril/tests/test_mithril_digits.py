"""From submit to results: the digits example trains on two machines of one bid. Nothing is doubled but the API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from flow_core import Flow
from flow_core.types import Volume, VolumeSpec, new_request_id
from flow_instances import Machine
from flow_mithril.testing import Double

from .booted import Make, live_keys

pytestmark = [pytest.mark.digits, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]
ENVIRONMENT = "/volumes/python"
SECRET = "sesame-of-the-digits"
_TORCHRUN = f"#!{ENVIRONMENT}/bin/python\nfrom torch.distributed.run import main\nmain()\n"

Disks = Callable[[str], list[str]]


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> Disks:
    """Finds the files with a text on the disks of machines that are gone; what was on them is looked at as they go."""
    written: list[tuple[str, bytes]] = []
    delete = Machine.delete

    def looked(machine: Machine) -> None:
        machine.kill()
        files = [path for path in machine.folder.rglob("*") if path.is_file() and not path.is_symlink()]
        written.extend((str(path.relative_to(machine.folder)), path.read_bytes()) for path in files)
        delete(machine)

    monkeypatch.setattr(Machine, "delete", looked)
    return lambda text: [name for name, content in written if text.encode() in content]


def share(flow: Flow, platform: Double, name: str) -> tuple[Volume, Path]:
    """Make a file share; return it and the folder that it is below the double."""
    volume = flow.provider().create_volume(VolumeSpec(name, kind="file", size_gb=10, create=True), new_request_id())
    return volume, platform.world.machines._volume(volume.id, "File")  # type: ignore[attr-defined]


def install(environment: Path) -> None:
    """Put a Python environment with torch onto a file share, as its owner would have installed it from a machine."""
    packages = Path(sysconfig.get_paths()["purelib"])
    lib = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    left_out = shutil.ignore_patterns("*.pth", "__editable__*", "torch/include")
    shutil.copytree(packages, lib / "site-packages", symlinks=True, ignore=left_out, copy_function=_linked)
    (environment / "bin").mkdir()
    (environment / "bin" / "python").symlink_to("/usr/bin/python3")
    (environment / "bin" / "torchrun").write_text(_TORCHRUN)
    (environment / "bin" / "torchrun").chmod(0o755)
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\n")


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def test_the_digits_are_learnt_on_two_machines(platform: Double, booted: Make, disks: Disks) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    flow = booted(self_release="key", region="us-central2-a")
    model, kept = share(flow, platform, "digits")
    tools, folder = share(flow, platform, "python")
    install(folder)
    environ = {**os.environ, "TOKEN": SECRET}
    argv = ["run", "-i", "8xh100", "-N", "2", "--secret", "TOKEN"]
    argv += ["--volume", f"python:{ENVIRONMENT}", "-e", f"PATH={ENVIRONMENT}/bin:/usr/bin:/bin", "-e", "LOGLEVEL=INFO"]
    argv += [str(ROOT / "examples/digits/flow.yaml")]
    done = subprocess.run(
        [sys.executable, "-m", "flow_core", *argv], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "epoch 30 accuracy" in done.stdout
    assert [rank for rank in (0, 1) if f"'rank': {rank}," in done.stderr] == [0, 1], done.stderr
    metrics = json.loads((kept / "metrics.json").read_text())
    assert (metrics["world_size"], metrics["train_accuracy"] > 0.93) == (2, True)
    assert (kept / "model.pt").stat().st_size > 1000

    gone = flow.submit("test -s /volumes/digits/model.pt && exit 7", volumes=["digits:/volumes/digits"])
    assert gone.wait(120.0) == 7
    with platform.world.lock:
        assert {row["status"] for row in platform.world.all("instances")} == {"STATUS_TERMINATED"}
        said = json.dumps([{**one, "headers": None} for one in platform.requests])
        known = json.dumps(platform.world.all("bids"), default=str)
    assert not [name for name in live_keys(platform) if name.endswith("-release")]
    assert [one.name for one in flow.provider().volumes()] == ["digits", "python"]
    assert {Path(name).name for name in disks("fkey_")} == {"release.key"}
    for text in (SECRET, platform.settings.api_key):
        assert text not in said + known + done.stdout + done.stderr
        assert disks(text) == []
    for volume in (model, tools):
        flow.provider().delete_volume(volume.id)
