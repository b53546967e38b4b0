"""A machine whose disk is full."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flow_mithril.testing import Double, Settings

from .booted import PATIENCE, Make, begun, bid_status, machine, output, until
from .conftest import WHY_NOT


@pytest.fixture(scope="module")
def platform() -> Iterator[Double]:
    """A Mithril API whose machines have a disk that can be filled."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    with pytest.MonkeyPatch.context() as patch, Double(Settings(disk_megabytes=64, start_seconds=0.0)) as double:
        patch.setenv("MITHRIL_API_URL", double.url)
        patch.setenv("MITHRIL_API_KEY", double.settings.api_key)
        yield double
        assert double.mistakes == []


def test_a_task_that_filled_its_disk_ends_with_its_exit_code_and_what_it_could_write(
    platform: Double, booted: Make
) -> None:
    task = begun(booted().submit("echo before; until [ -e /filler ]; do sleep 0.2; done; sleep 1; echo after; exit 5"))
    until(lambda: output(task) == b"before\n", "it says nothing")
    platform.control("machine", instance=machine(platform, task), do="fill")

    assert task.wait(PATIENCE) == 5
    assert output(task).startswith(b"before\n")
    assert bid_status(platform, task) == "Terminated"
