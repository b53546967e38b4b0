"""Where a benchmark runs: a home of its own, this interpreter, the installed ``flow``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from benchmarks.figures import timed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@attrs.frozen
class Place:
    """A folder that is removed at the end; ``FLOW_HOME`` is in it while the benchmark runs."""

    folder: Path
    quick: bool = False

    def rounds(self, full: int) -> int:
        """Return how often to measure: a fifth, at least thrice, when there is little time."""
        return max(3, full // 5) if self.quick else full


@contextmanager
def fresh_place(quick: bool = False) -> Iterator[Place]:
    """Make a place; plugins and settings of the user play no part in it."""
    folder = Path(tempfile.mkdtemp(prefix="flow-bench-"))
    before = {name: value for name, value in os.environ.items() if _is_ours(name)}
    _forget_flow()
    os.environ["FLOW_HOME"] = str(folder / "home")
    try:
        yield Place(folder, quick)
    finally:
        _forget_flow()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


def _forget_flow() -> None:
    for name in list(filter(_is_ours, os.environ)):
        del os.environ[name]


def _is_ours(name: str) -> bool:
    """Whether a variable changes what is measured; without its byte code Python would compile us at each start."""
    return name.startswith("FLOW_") or name == "PYTHONDONTWRITEBYTECODE"


def flow_command(*arguments: str) -> list[str]:
    """Return the command line of ``flow``: the script beside this interpreter, or the module."""
    script = Path(sys.executable).parent / "flow"
    return [str(script), *arguments] if script.exists() else [sys.executable, "-m", "flow_core", *arguments]


def python_command(code: str) -> list[str]:
    """Return the command line of this interpreter for ``code``."""
    return [sys.executable, "-c", code]


def run_time(command: Sequence[str]) -> float:
    """Return the seconds until a command has ended. Raises CalledProcessError when it fails."""
    return timed(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True))
