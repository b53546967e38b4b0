"""What tasks keep comes to their store before their machines go."""

from __future__ import annotations

import pytest

from flow_mithril.testing import Double

from .booted import PATIENCE, Make, bid_status, output


@pytest.mark.parametrize("size", [5, 3_000_000])
def test_the_outputs_of_a_machine_come_to_a_store_that_only_the_client_reaches(
    platform: Double, booted: Make, size: int
) -> None:
    task = booted().submit(f"head -c {size} /dev/zero >out.bin", outputs=["out.bin"])

    assert task.wait(PATIENCE) == 0
    assert [(one.path, one.size) for one in task.artifacts] == [("out.bin", size)]
    assert bid_status(platform, task) == "Terminated"


def test_the_outputs_of_all_machines_are_kept(platform: Double, booted: Make) -> None:
    flow = booted()
    task = flow.submit("echo said; echo $RANK | tee same >own.$RANK", num_instances=2, outputs=["same", "own.*"])

    assert task.wait(PATIENCE) == 0
    found = {one.path: (one.rank, one.open().read()) for one in task.artifacts}
    assert found == {
        "own.0": (0, b"0\n"),
        "own.1": (1, b"1\n"),
        "rank-0/same": (0, b"0\n"),
        "rank-1/same": (1, b"1\n"),
    }
    assert output(task, rank=1) == b"said\n"
    assert bid_status(platform, task) == "Terminated"
