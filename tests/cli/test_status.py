"""``flow status``."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from flow_core.cli import _words
from flow_core.cli._rows import HEADER

if TYPE_CHECKING:
    from conftest import Answer, Program, Site


def _rows(answer: Answer) -> list[list[str]]:
    return [line.split(None, len(HEADER) - 1) for line in answer.out.splitlines()]


def test_a_pipe_gets_a_header_and_one_line_for_each_task(flow: Program) -> None:
    flow("run", "-q", "--name", "good", "true")
    flow("run", "-q", "--name", "bad", "exit 3")
    header, bad, good = _rows(flow("status"))
    assert header == list(HEADER)
    assert bad[1:5] == ["bad", "failed", "3", "local"]
    assert good[1:5] == ["good", "succeeded", "0", "local"]
    assert bad[9] == "exit code 3"


def test_nothing_is_cut_off_in_a_pipe(flow: Program) -> None:
    name = "a" * 48
    flow("run", "-q", "--name", name, "true")
    assert name in flow("status", COLUMNS="40").out


def test_without_tasks_a_pipe_gets_the_header_alone(flow: Program) -> None:
    assert flow("status").out.split() == list(HEADER)


def test_json_rows_have_what_a_program_needs(flow: Program) -> None:
    flow("run", "-q", "--label", "team=blue", "exit 3")
    (row,) = flow("status", "--json").data
    assert (row["status"], row["exit_code"], row["reason"]) == ("failed", 3, "exit code 3")
    assert (row["provider"], row["profile"], row["attempt"], row["num_instances"]) == ("local", "local", 1, 1)
    assert row["labels"] == {"team": "blue"}
    assert row["created_at"] <= row["started_at"] <= row["ended_at"]
    assert [(node["rank"], node["exit_code"]) for node in row["nodes"]] == [(0, 3)]


def test_a_signal_that_only_the_exit_code_tells_of_is_marked(flow: Program) -> None:
    flow("run", "-q", "exit 137")
    ((node,),) = [row["nodes"] for row in flow("status", "--json").data]
    assert (node["exit_code"], node["signal"], node["signal_inferred"]) == (137, 9, True)


def test_a_named_task_is_shown_with_its_attempts(flow: Program) -> None:
    task = flow.submit("exit 3", "--retries", "1", "--name", "twice")
    flow("wait", task)
    answer = flow("status", "twice")
    facts = dict(line.split("  ", 1) for line in answer.out.split("\n\n")[0].splitlines())
    assert facts["id"].strip() == task
    assert facts["exit code"].strip() == "3"
    attempts = [line.split()[:4] for line in answer.out.split("\n\n")[1].splitlines()[1:]]
    assert attempts == [["1", "0", "failed", "3"], ["2", "0", "failed", "3"]]


def test_a_task_is_found_by_the_beginning_of_its_id(flow: Program) -> None:
    task = flow.submit("true")
    assert flow("status", "--json", task[:15]).data[0]["id"] == task


def test_of_several_that_have_the_name_the_newest_is_taken_and_that_is_said(flow: Program) -> None:
    flow.submit("true", "--name", "train")
    newest = flow.submit("true", "--name", "train")
    answer = flow("status", "train", "--json")
    assert answer.data[0]["id"] == newest
    assert answer.err == f'flow: {newest} is the newest of 2 named "train"\n'


def test_an_unknown_task_is_not_found(flow: Program) -> None:
    answer = flow("status", "nope")
    assert answer.status == 66
    assert answer.last_line.startswith("flow: error[NOT_FOUND]: ")


def test_the_newest_twenty_and_all_live_ones_are_shown(flow: Program) -> None:
    from flow_core.client import Flow

    client = Flow(flow.folder, {**flow.environ})
    live = flow.submit("sleep 30", "--name", "live")
    for number in range(22):
        client.submit("true", name=f"n{number}").wait()
    shown = [row[1] for row in _rows(flow("status"))[1:]]
    assert shown == [*(f"n{number}" for number in range(21, 1, -1)), "live"]
    assert len(_rows(flow("status", "--all"))) == 24
    flow("cancel", "--grace", "0", live)


def test_a_profile_that_cannot_be_asked_is_named_and_the_rest_is_shown(flow: Program, site: Site) -> None:
    source = """
        from flow_local import LocalProvider
        from flow_core import UnavailableError, hookimpl

        class Deaf(LocalProvider):
            @hookimpl
            def flow_provision_status(self, refs):
                raise UnavailableError("nobody answers")
    """
    site.install("flow-deaf", {"flow.providers": {"deaf": "deaf_plugin:Deaf"}}, {"deaf_plugin": source})
    flow.submit("sleep 30", "--provider", "deaf", "--name", "far")
    flow.submit("true", "--provider", "local", "--name", "near")
    flow("wait", "near")
    answer = flow("status")
    assert answer.status == 0
    assert "flow: deaf cannot be asked, so its tasks are shown as last seen: nobody answers" in answer.err
    assert sorted(row[1] for row in _rows(answer)[1:]) == ["far", "near"]
    flow("cancel", "--grace", "0", "far")


def test_watching_in_a_pipe_prints_a_line_for_each_change_until_the_end(flow: Program) -> None:
    task = flow.submit("sleep 1.2; exit 4", "--name", "watched")
    answer = flow("status", "--watch", task)
    lines = answer.out.splitlines()
    assert lines[0].split() == list(HEADER)
    states = [line.split()[2] for line in lines[1:]]
    assert states[-1] == "failed"
    assert len(states) == len(set(states)), "a line without a change"


def test_watching_as_json_is_an_envelope_for_each_change(flow: Program) -> None:
    import json

    task = flow.submit("sleep 1; true")
    lines = [json.loads(line) for line in flow("status", "--watch", "--json", task).out.splitlines()]
    assert {line["schema"] for line in lines} == {"flow.status/1"}
    assert lines[-1]["data"]["status"] == "succeeded"


def _on_terminal(flow: Program, *arguments: str, **environ: str) -> str:
    leader, follower = pty.openpty()
    argv = [sys.executable, "-m", "flow_core", *arguments]
    env = {**flow.environ, **environ}
    process = subprocess.Popen(argv, cwd=flow.folder, env=env, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    seen = b""
    try:
        while data := os.read(leader, 65536):
            seen += data
    except OSError:
        pass
    finally:
        os.close(leader)
    assert process.wait(30) == 0
    return seen.decode()


def test_a_terminal_gets_colours_and_relative_times(flow: Program) -> None:
    flow("run", "-q", "exit 3")
    seen = _on_terminal(flow, "status")
    assert "\x1b[31mfailed" in seen
    assert " ago" in seen or "now" in seen


def test_no_color_is_obeyed(flow: Program) -> None:
    flow("run", "-q", "exit 3")
    assert "\x1b[3" not in _on_terminal(flow, "status", NO_COLOR="1")


def test_a_terminal_without_tasks_gets_an_example(flow: Program) -> None:
    assert "flow run 'echo hello'" in _on_terminal(flow, "status")


def test_watching_on_a_terminal_ends_when_the_named_tasks_have(flow: Program) -> None:
    task = flow.submit("sleep 0.5")
    assert "succeeded" in _on_terminal(flow, "status", "--watch", task)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0s"),
        (4.26, "4.3s"),
        (9.96, "10s"),
        (59.6, "1m"),
        (61, "1m1s"),
        (5400, "1h30m"),
        (200000, "2d7h"),
        (-5, "0s"),
    ],
)
def test_a_span_has_two_units_at_most(seconds: float, words: str) -> None:
    assert _words.span(seconds) == words


@pytest.mark.parametrize(
    ("passed", "words"), [(0.2, "now"), (-3, "now"), (5, "5s ago"), (65, "1m ago"), (7300, "2h ago"), (90000, "1d ago")]
)
def test_ago_has_one_unit(passed: float, words: str) -> None:
    now = time.time()
    assert _words.ago(now - passed, now) == words
