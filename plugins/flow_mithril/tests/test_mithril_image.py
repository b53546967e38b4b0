"""A task with an image runs in the machine's own Docker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flow_core.types import VolumeSpec
from flow_mithril.testing import Double, Settings

from .booted import PATIENCE, Make, begun, output, until
from .conftest import WHY_NOT

IMAGE = "machine:1"  # the machine's own shell and nothing else


@pytest.fixture(scope="module")
def platform() -> Iterator[Double]:
    """A Mithril API whose machines boot with their Docker running."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    with pytest.MonkeyPatch.context() as patch, Double(Settings(docker=True, start_seconds=0.0)) as double:
        patch.setenv("MITHRIL_API_URL", double.url)
        patch.setenv("MITHRIL_API_KEY", double.settings.api_key)
        yield double
        assert double.mistakes == []


def test_a_command_runs_in_its_image_with_code_secrets_and_volumes(
    platform: Double, booted: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = booted(instance_type="4xcpu", defaults={})
    (flow.session.cwd / "code.txt").write_text("code\n")
    monkeypatch.setenv("TOKEN", "sesame")
    disk = VolumeSpec("inside", "/data", size_gb=1, create=True)
    command = "id -u; cat code.txt /etc/debian_version; echo $TOKEN >/data/x; echo err >&2; exit 6"
    task = flow.submit(command, image=IMAGE, secrets=["TOKEN"], volumes=[disk])
    assert task.wait(PATIENCE) == 6
    uid, code = output(task).decode().split()
    assert (uid, code) == ("1000", "code")
    error = b"".join(chunk.data for chunk in task.logs() if chunk.stream == "stderr")
    assert b"/etc/debian_version: No such file" in error
    assert error.endswith(b"err\n")

    again = flow.submit("cat /data/x", volumes=["inside:/data"], instance_type="4xcpu")
    assert again.wait(PATIENCE) == 0
    assert output(again) == b"sesame\n"
    flow.provider().delete_volume(flow.provider().volumes()[0].id)


def test_a_cancel_ends_the_container(platform: Double, booted: Make) -> None:
    flow = booted(instance_type="4xcpu", defaults={})
    task = begun(flow.submit("trap 'echo told; exit 3' TERM; echo on; while :; do sleep 0.1; done", image=IMAGE))
    until(lambda: output(task) == b"on\n", "it says nothing")

    assert task.cancel(10.0)
    task.wait(PATIENCE)
    assert (task.status, output(task)) == ("cancelled", b"on\ntold\n")


def test_a_machine_with_gpus_gives_all_of_them_to_the_container(platform: Double, booted: Make) -> None:
    task = booted().submit("true", image=IMAGE, instance_type="1xa100")
    task.wait(PATIENCE)

    told = b"".join(chunk.data for chunk in task.logs())
    assert b"could not select device driver" in told, told  # there is no driver here, and it was asked for
