from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flow_core.runner import command

from .deeds import Platform
from .machine import DEADLINE, Machine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    found = Machine(tmp_path / "root")
    yield found
    found.close()


@pytest.fixture
def runner() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run the runner itself to its end."""

    def call(*args: object, **keys: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(command(*map(str, args)), capture_output=True, timeout=DEADLINE, check=False, **keys)

    return call


@pytest.fixture
def platform() -> Iterator[Platform]:
    """Where a rented machine is given back."""
    found = Platform()
    yield found
    found.close()
