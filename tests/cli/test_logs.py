"""``flow logs``."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Program


@pytest.fixture
def task(flow: Program) -> str:
    """A task that has written to both streams and ended with 3."""
    flow("run", "-q", "--name", "talker", "echo one; echo two; echo three; echo told >&2; exit 3")
    return "talker"


def test_the_streams_are_kept_apart(flow: Program, task: str) -> None:
    answer = flow("logs", task)
    assert (answer.status, answer.out, answer.err) == (0, "one\ntwo\nthree\n", "told\n")


def test_following_exits_with_the_tasks_code(flow: Program, task: str) -> None:
    answer = flow("logs", "-f", task)
    assert (answer.status, answer.out) == (3, "one\ntwo\nthree\n")
    assert answer.last_line.endswith("failed: exit code 3")


@pytest.mark.parametrize(("flag", "streams"), [("--stdout", ("one\ntwo\nthree\n", "")), ("--stderr", ("", "told\n"))])
def test_one_stream_alone(flow: Program, task: str, flag: str, streams: tuple[str, str]) -> None:
    answer = flow("logs", flag, task)
    assert (answer.out, answer.err) == streams


@pytest.mark.parametrize(
    ("lines", "out"), [("0", ""), ("1", "three\n"), ("2", "two\nthree\n"), ("9", "one\ntwo\nthree\n")]
)
def test_the_tail_is_the_last_lines_of_each_stream(flow: Program, task: str, lines: str, out: str) -> None:
    assert flow("logs", "--stdout", "--tail", lines, task).out == out


def test_a_tail_that_is_followed_goes_on_behind_it(flow: Program) -> None:
    task = flow.submit("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo $i; sleep 0.05; done")
    first = flow.start("logs", "-f", task)
    assert first.stdout is not None
    while first.stdout.readline() != b"5\n":
        pass
    first.terminate()
    first.communicate(timeout=30)
    numbers = [int(line) for line in flow("logs", "-f", "--tail", "2", task).out.split()]
    assert numbers == list(range(numbers[0], 21))
    assert numbers[0] >= 4


def test_since_leaves_out_what_is_older(flow: Program, task: str) -> None:
    assert flow("logs", "--since", "1h", task).out == "one\ntwo\nthree\n"
    late = flow.submit("echo early; sleep 4; echo late")
    flow("wait", late)
    age = time.time() - flow("status", "--json", late).data[0]["ended_at"]
    assert flow("logs", "--since", f"{age + 3:.0f}s", late).out == "late\n"


def test_timestamps_stand_before_every_line(flow: Program) -> None:
    flow("run", "-q", "--name", "slow", "for word in one two three; do sleep 0.3; echo $word; done")
    lines = flow("logs", "--timestamps", "slow").out.splitlines()
    assert [line.split(" ")[1] for line in lines] == ["one", "two", "three"]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", line) for line in lines)


def test_json_is_one_envelope_with_every_chunk(flow: Program, task: str) -> None:
    answer = flow("logs", "--json", task)
    assert answer.envelope["schema"] == "flow.logs/1"
    out = [chunk for chunk in answer.data if chunk["stream"] == "stdout"]
    assert "".join(chunk["text"] for chunk in out) == "one\ntwo\nthree\n"
    assert out[0]["offset"] == 0
    assert sum(chunk["size"] for chunk in out) == 14


def test_json_that_is_followed_is_an_envelope_per_line(flow: Program, task: str) -> None:
    answer = flow("logs", "-f", "--json", task)
    chunks = [json.loads(line)["data"] for line in answer.out.splitlines()]
    assert "".join(chunk["text"] for chunk in chunks if chunk["stream"] == "stdout") == "one\ntwo\nthree\n"
    assert answer.status == 3


def test_bytes_that_are_not_text_are_base64_in_json(flow: Program) -> None:
    flow("wait", flow.submit(r"printf '\377\376'", "--name", "binary"))
    (chunk,) = flow("logs", "--json", "binary").data
    assert base64.b64decode(chunk["base64"]) == b"\xff\xfe"
    assert "text" not in chunk


def test_own_secrets_are_masked_here_too(flow: Program) -> None:
    flow("run", "-q", "--name", "secretive", "--secret", "TOKEN", "echo $TOKEN", TOKEN="s3cret-value")
    assert flow("logs", "secretive", TOKEN="s3cret-value").out == "***\n"
    assert flow("logs", "--no-redact", "secretive", TOKEN="s3cret-value").out == "s3cret-value\n"
    assert "s3cret" not in flow("logs", "--json", "secretive", TOKEN="s3cret-value").out


def test_one_node_of_several(flow: Program) -> None:
    flow("run", "-q", "-N", "3", "--name", "many", "echo rank $FLOW_NODE_RANK")
    assert sorted(flow("logs", "many").out.splitlines()) == ["rank 0", "rank 1", "rank 2"]
    assert flow("logs", "--node", "1", "many").out == "rank 1\n"


def test_a_node_that_is_not_there_is_not_found(flow: Program, task: str) -> None:
    answer = flow("logs", "--node", "1", task)
    assert answer.status == 66
    assert answer.last_line.endswith("has no node 1")


def test_lines_of_several_nodes_do_not_tear_each_other(flow: Program) -> None:
    command = "for i in 1 2 3 4 5 6; do printf a$FLOW_NODE_RANK; sleep 0.02; echo b; done"
    answer = flow("run", "-q", "-N", "3", command)
    assert sorted(answer.out.splitlines()) == sorted(f"a{rank}b" for rank in range(3) for _ in range(6))


def test_a_reader_that_has_enough_ends_it_silently(flow: Program) -> None:
    flow("run", "-q", "--name", "long", "seq 1 200000")
    process = flow.start("logs", "long")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"1\n"
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(30) == 141


def test_a_task_that_has_not_written_gives_nothing(flow: Program) -> None:
    assert flow("logs", flow.submit("sleep 5")).out == ""


def test_a_wrong_time_is_a_wrong_usage(flow: Program, task: str) -> None:
    answer = flow("logs", "--since", "yesterday", task)
    assert answer.status == 2
    assert "--since" in answer.last_line
