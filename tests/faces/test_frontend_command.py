"""``flow run FILE`` where a frontend knows the file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
from pathlib import Path
from flow_core import CodeSpec, FrontendTask, TaskConfig, hookimpl
from flow_core.hookspecs import FrontendHooks

class Frontend(FrontendHooks):
    @hookimpl
    def flow_frontend_detect(self, source):
        return 0.9 if source.endswith(".batch") else 0.0

    @hookimpl
    def flow_frontend_read(self, source, arguments):
        tasks = []
        for number, line in enumerate(Path(source).read_text().splitlines(), 1):
            name, _, region = line.partition(" ")
            said = ("echo", name, *arguments)
            config = TaskConfig(command=said, name=name, region=region or None, code=CodeSpec("none"))
            tasks.append(FrontendTask(config, {"name": (number, 1), "region": (number, len(name) + 2)}))
        return tasks
"""


class Shell:
    """A folder in which ``flow`` sees one frontend."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        info = folder / "lines_frontend-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lines-frontend\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[flow.frontends]\nlines = lines_frontend:Frontend\n")
        (folder / "lines_frontend.py").write_text(MODULE)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOW_")}
        self.environ = {**kept, "FLOW_HOME": str(folder / "home"), "PYTHONPATH": str(folder), "FLOW_DEFAULT": "local"}

    def flow(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "flow_core", *words]
        return subprocess.run(
            argv, cwd=self.work, env=self.environ, capture_output=True, text=True, check=False, timeout=60
        )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_file_that_a_frontend_knows_runs_with_its_arguments(shell: Shell) -> None:
    (shell.work / "one.batch").write_text("first\n")

    done = shell.flow("run", "--quiet", "one.batch", "a", "--name", "mine")

    assert (done.returncode, done.stdout) == (0, "first a --name mine\n"), done.stderr


def test_a_file_that_nobody_knows_is_a_command(shell: Shell) -> None:
    (shell.work / "tool").write_text("#!/bin/sh\necho tool\n")
    (shell.work / "tool").chmod(0o755)

    assert shell.flow("run", "--quiet", "./tool").stdout == "tool\n"


def test_frontend_names_who_reads_it(shell: Shell) -> None:
    (shell.work / "odd.yaml").write_text("first\n")

    assert shell.flow("run", "--quiet", "--frontend", "lines", "odd.yaml", "a").stdout == "first a\n"
    assert "no frontend 'line' is installed" in shell.flow("run", "--frontend", "line", "odd.yaml").stderr


def test_flags_are_laid_over_the_file_and_blamed_for_what_they_say(shell: Shell) -> None:
    (shell.work / "one.batch").write_text("first\n")

    named = shell.flow("run", "--dry-run", "--name", "mine", "one.batch")
    moved = shell.flow("run", "--region", "moon", "one.batch")

    assert "mine" in named.stdout, named.stderr
    assert "--region" in moved.stderr
    assert "one.batch" not in moved.stderr


def test_what_a_provider_cannot_do_is_shown_at_the_files_own_line(shell: Shell) -> None:
    (shell.work / "two.batch").write_text("first\nsecond moon\n")

    done = shell.flow("run", "-d", "two.batch")

    assert done.returncode == 64
    assert "two.batch:2:8: region: " in done.stderr
    assert shell.flow("status", "--all", "--json").stdout.count('"id"') == 0  # not even the first


def test_several_tasks_are_submitted_together_and_not_followed(shell: Shell) -> None:
    (shell.work / "two.batch").write_text("first\nsecond\n")

    attached = shell.flow("run", "two.batch")
    detached = shell.flow("run", "-d", "two.batch")

    assert (attached.returncode, len(attached.stdout.split())) == (0, 2)
    assert "holds 2 tasks" in attached.stderr
    assert detached.stderr == ""
    ids = detached.stdout.split()
    assert [shell.flow("wait", task).returncode for task in ids] == [0, 0]
    assert [shell.flow("logs", task).stdout for task in ids] == ["first\n", "second\n"]


def test_a_long_command_that_ends_like_a_file_is_a_command(shell: Shell) -> None:
    words = "echo " + "x" * 300 + " > out.json"

    assert shell.flow("run", "--quiet", words).returncode == 0
