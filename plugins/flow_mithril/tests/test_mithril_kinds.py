"""Other machines than one spot machine, and what is mounted on them; all of them really boot."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from click.testing import CliRunner

from flow_core.types import VolumeSpec
from flow_mithril._commands import mithril
from flow_mithril.testing import Double

from .booted import PATIENCE, Make, begun, fid, output, until


def in_hours(hours: float) -> dict[str, dict[str, str]]:
    end = datetime.now(timezone.utc) + timedelta(hours=hours)
    return {"mithril": {"reservation_end": end.isoformat()}}


def reservation_status(platform: Double, reservation: str) -> str:
    platform.settle()
    with platform.world.lock:
        return str(platform.world.table("reservations")[reservation]["status"])


def test_a_reserved_machine_runs_its_task_and_is_paused_when_that_has_ended(platform: Double, booted: Make) -> None:
    task = booted().submit("echo reserved; exit 3", options=in_hours(4))
    assert fid(task).startswith("res_")

    assert task.wait(PATIENCE) == 3
    assert output(task) == b"reserved\n"
    assert reservation_status(platform, fid(task)) == "Paused"


def test_a_reserved_machine_that_nobody_comes_to_is_paused_by_itself_and_resumed(
    platform: Double, booted: Make
) -> None:
    task = begun(booted(self_release="key", hold="5s").submit("echo kept; sleep 1; exit 5", options=in_hours(4)))

    until(lambda: reservation_status(platform, fid(task)) == "Paused", "it is never paused")
    assert CliRunner().invoke(mithril, ["resume", task.id]).exit_code == 0
    assert task.wait(PATIENCE) == 5
    assert output(task) == b"kept\n"


def test_a_machine_without_gpus_ends_by_itself(platform: Double, booted: Make) -> None:
    task = begun(booted(self_release="key", hold="1s").submit("sleep 1", instance_type="4xcpu"))

    def is_gone() -> bool:
        with platform.world.lock:
            return bool(platform.world.table("instances")[fid(task)]["status"] == "STATUS_TERMINATED")

    until(is_gone, "the machine does not go")


def test_a_file_share_is_where_the_task_asks_for_it_and_keeps_what_was_written(platform: Double, booted: Make) -> None:
    flow = booted(region="us-central2-a")
    share = VolumeSpec("shared", "/data", kind="file", size_gb=10, create=True)

    assert flow.submit("echo 41 >/data/x", volumes=[share]).wait(PATIENCE) == 0
    second = flow.submit("cat /data/x /mnt/shared/x", volumes=["shared:/data"])
    assert second.wait(PATIENCE) == 0
    assert output(second) == b"41\n41\n"
    (volume,) = [one for one in flow.provider().volumes() if one.name == "shared"]
    flow.provider().delete_volume(volume.id)
