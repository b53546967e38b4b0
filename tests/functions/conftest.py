"""A home of its own for each test, with the source files that functions are called in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import flow_core as flow
from flow_core.types import LIVE_STATES

TRAIN = """
import os, sys
from pathlib import Path

class Model:
    def __init__(self, weight):
        self.weight = weight

class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(one)

class Own(Exception):
    pass

def train(rate, steps=3):
    print("training")
    return {"loss": rate * steps}

def model(weight):
    return Model(weight)

def fail(text):
    raise ValueError(text)

def fail_odd():
    raise Odd("one", "two")

def fail_own():
    raise Own("mine")

def leave(code):
    sys.exit(code)

def die(number):
    os.kill(os.getpid(), number)

def lines():
    yield 1

def count():
    return lines()

def unpicklable():
    import threading
    return threading.Lock()

def deep(levels):
    found = []
    for _ in range(levels):
        found = (found,)
    return found

def close_stdout():
    print("said")
    os.close(1)
    return "closed"

def where():
    return os.getcwd()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with ``src/train.py`` in it; what still runs afterwards is ended."""
    for name in [name for name in os.environ if name.startswith("FLOW_")]:
        monkeypatch.delenv(name)
    work = tmp_path / "work"
    (work / "src" / "pkg").mkdir(parents=True)
    (work / "src" / "train.py").write_text(TRAIN)
    (work / "src" / "pkg" / "__init__.py").touch()
    (work / "src" / "pkg" / "constants.py").write_text("FACTOR = 6\n")
    (work / "src" / "pkg" / "mod.py").write_text(
        "from .constants import FACTOR\n\ndef times(x):\n    return FACTOR * x\n"
    )
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(work)
    yield work
    for task in flow.tasks(None, states=LIVE_STATES):
        task.cancel(0.0)
        task.wait(10.0)
