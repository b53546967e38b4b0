"""What the command says."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from flow_hello_command import command


def test_it_greets_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOW_HOME", str(tmp_path))
    done = CliRunner().invoke(command, ["--name", "Ada"])
    assert (done.exit_code, done.output) == (0, "hello Ada: 0 tasks are running\n")
