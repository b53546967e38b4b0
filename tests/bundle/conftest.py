"""A user whom files can be closed to, and a file system that shares blocks."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of a user who is not root; the test is that user where it would be root."""
    folder = Path(tempfile.mkdtemp(prefix="flow-test-"))
    root = os.geteuid() == 0
    if root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", params=["btrfs", "xfs"])
def sharing(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder on a file system that shares blocks between files."""
    place = tmp_path_factory.mktemp(request.param)
    image, folder = place / "image", place / "mounted"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(400 << 20)
    for step in ([f"mkfs.{request.param}", "-q", str(image)], ["mount", "-o", "loop", str(image), str(folder)]):
        if shutil.which(step[0]) is None:
            pytest.skip(f"{step[0]} is not installed")
        done = subprocess.run(step, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"no {request.param} here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
