"""Folders, names and locales that Flow did not choose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Program

ODD = os.fsdecode(b"odd\xff")


def test_a_working_folder_that_was_removed_is_named_with_the_mend(flow: Program) -> None:
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" -m flow_core run true'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable], cwd=flow.folder, env=flow.environ, capture_output=True, text=True
    )
    assert done.returncode == 73
    assert "cd to a folder that is there" in done.stderr
    assert "flow: error[STATE]: the folder this was started in cannot be found" in done.stderr


def test_a_working_folder_of_any_bytes_is_one(flow: Program) -> None:
    (flow.folder / ODD).mkdir()
    for mode in ("inplace", "snapshot"):
        done = subprocess.run(
            [sys.executable, "-m", "flow_core", "run", "-q", "--code", mode, "pwd"],
            cwd=flow.folder / ODD,
            env=flow.environ,
            capture_output=True,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert mode == "snapshot" or done.stdout == os.fsencode(flow.folder / ODD) + b"\n"


def test_an_artifact_may_have_a_name_of_any_bytes(flow: Program) -> None:
    assert flow("run", "--name", "made", "--output", "o*", r"""echo one > "$(printf 'odd\377')" """).status == 0
    (listed,) = flow("artifacts", "list", "made", "--json").data
    assert (listed["path"], listed["bytes"]) == (ODD, 4)
    assert flow("artifacts", "get", "made", "--to", "here").status == 0
    assert (flow.folder / "here" / ODD).read_text() == "one\n"
    assert flow("status", "made", "--json").data[0]["results"]["files"] == 1


def test_json_can_be_read_whatever_the_locale_is(flow: Program) -> None:
    answer = flow("run", "--json", "--dry-run", "-e", "A=größe ✓", "true", PYTHONIOENCODING="ascii")
    assert json.loads(answer.out)["data"]["config"]["env"] == {"A": "größe ✓"}


def test_stdin_and_folders_are_no_task_files(flow: Program) -> None:
    (flow.folder / "task.yaml").mkdir()
    assert flow("run", "-").last_line == "flow: error[CONFIG]: a task is not read from stdin"
    answer = flow("run", "task.yaml")
    assert answer.last_line == "flow: error[CONFIG]: task.yaml is no task file, but a folder"


def test_a_command_that_is_called_like_a_task_file_runs_as_the_hint_says(flow: Program) -> None:
    tool = flow.folder / "tool.json"
    assert "sh -c ./tool.json" in flow("run", "./tool.json").err
    tool.write_text("#!/bin/sh\necho ran\n")
    tool.chmod(0o755)
    assert flow("run", "-q", "sh", "-c", "./tool.json").out == "ran\n"


def test_a_settings_file_that_cannot_be_read_is_told_once_by_the_doctor_with_its_line(
    flow: Program, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.yaml").write_text("profiles: [\n")
    findings = [one for one in flow("doctor", "--json").data if one["status"] == "error"]
    assert [one["name"] for one in findings] == ["settings"]
    assert "config.yaml:2:1: is not YAML" in findings[0]["message"]


def test_a_setting_that_no_plugin_will_take_is_warned_of_when_it_is_set(flow: Program) -> None:
    assert "there is no profile or provider 'nope'" in flow("config", "set", "default", "nope").err
    answer = flow("config", "set", "profiles.local.max_tasks", "many")
    assert answer.status == 0
    assert "max_tasks: must be a whole number" in answer.err
    assert "warning" not in flow("config", "set", "profiles.local.max_tasks", "3").err


def test_a_plugins_group_without_a_command_shows_its_help(flow: Program) -> None:
    answer = flow("local")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith("Usage: flow local ")


def _shell(flow: Program, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script of sh, in which $flow is the program."""
    argv = ["sh", "-c", f'flow="{sys.executable} -m flow_core"; {script}']
    return subprocess.run(argv, cwd=flow.folder, env=flow.environ, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_written_to_nobody_and_changes_no_exit_code(flow: Program, closed: str) -> None:
    done = _shell(
        flow, f"$flow run -q 'cat; echo out; echo err >&2; exit 3' {closed}; echo $? >code; $flow nope {closed}"
    )
    assert done.returncode == 2
    assert (flow.folder / "code").read_text() == "3\n"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "status"),
    [("status >", 73), ("status --json >", 73), ("nope 2>", 2), ("nope --json >", 2), ("run 'exit 4' 2>", 4)],
)
def test_a_full_disk_behind_a_stream_is_told_where_it_can_be(flow: Program, command: str, status: int) -> None:
    done = _shell(flow, f"$flow {command}/dev/full")
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert "2>" in command or "flow: error[" in done.stderr


def test_an_interrupt_while_the_program_is_imported_shows_no_traceback(flow: Program) -> None:
    (flow.folder / "sitecustomize.py").write_text(
        "import builtins, _thread\n"
        "find = builtins.__import__\n"
        "def interrupted(name, *more, **named):\n"
        "    if name == 'click':\n"
        "        _thread.interrupt_main()\n"
        "    return find(name, *more, **named)\n"
        "builtins.__import__ = interrupted\n"
    )
    answer = flow("status", PYTHONPATH=str(flow.folder))
    assert (answer.status, answer.err) == (130, "")


def test_what_flow_keeps_is_the_users_alone_whatever_the_umask_is(flow: Program) -> None:
    script = """
        umask 0
        echo abcd-1234-efgh | "$0" -m flow_core secret set API_KEY
        "$0" -m flow_core config set keep_events 20d
        "$0" -m flow_core volume create models
        "$0" -m flow_core run --name made --secret API_KEY --output 'o*' 'echo one > out'
        "$0" -m flow_core status
    """
    subprocess.run(["sh", "-ec", script, sys.executable], cwd=flow.folder, env=flow.environ, check=True)
    kept = [path for path in Path(flow.environ["FLOW_HOME"]).rglob("*") if not path.is_symlink()]
    assert [path for path in kept if not path.is_socket() and path.lstat().st_mode & 0o077] == []
