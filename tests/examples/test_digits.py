"""The digits example, as its README tells: train on one node and on two, evaluate from the volume."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flow_core import nodes

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(bool(nodes.mounts_impossible()), reason=nodes.mounts_impossible()),
    pytest.mark.digits,
    pytest.mark.timeout(600),
]


def flow(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "FLOW_HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "flow_core", *words]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("count", [1, 2])
def test_it_trains_and_another_task_evaluates(tmp_path: Path, count: int) -> None:
    trained = flow(tmp_path, "run", "-N", str(count), "examples/digits/flow.yaml")
    assert trained.returncode == 0, trained.stderr
    assert "epoch 30 accuracy" in trained.stdout

    evaluated = flow(tmp_path, "run", "-q", "examples/digits/evaluate.yaml")
    assert evaluated.returncode == 0, evaluated.stderr
    metrics = json.loads(evaluated.stdout)
    assert metrics["world_size"] == count
    assert metrics["images"] == 450
    assert metrics["test_accuracy"] > 0.93
