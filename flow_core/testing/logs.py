"""Logs: bytes, resumed exactly (``docs/behaviour/logs.md``)."""

from __future__ import annotations

import base64
import hashlib
import threading
from contextlib import closing
from typing import Any, ClassVar

import pytest

from flow_core.client import Task
from flow_core.errors import FlowError
from flow_core.testing._bench import Bench
from flow_core.testing._contract import Contract
from flow_core.types import LogChunk, LogCursor, Position, TaskRef, new_request_id

ALL_BYTES = bytes(range(256))
_OCTAL = "".join(f"\\{byte:03o}" for byte in ALL_BYTES)
_SIZE = 5_000_000


def joined(chunks: list[LogChunk], stream: str, rank: int = 0) -> bytes:
    """Return the bytes of one stream; they must follow each other without gap or overlap."""
    data = b""
    for chunk in chunks:
        if (chunk.stream, chunk.rank) == (stream, rank):
            assert chunk.offset == len(data), f"a chunk at offset {chunk.offset} follows {len(data)} bytes"
            data += chunk.data
    return data


class LogContract(Contract):
    """Scenarios L01 to L20, for any provider: through its nodes or through ``flow_logs_read``."""

    claims: ClassVar[frozenset[str]] = frozenset({"flow_logs_read", "flow_node_access"})

    def test_l01_every_byte_arrives_as_it_was_written(self, bench: Bench) -> None:
        self.need_exact_log(bench)
        assert bench.output(bench.run(f"printf '{_OCTAL}'")) == ALL_BYTES

    def test_l02_a_last_line_without_newline_arrives(self, bench: Bench) -> None:
        assert bench.output(bench.run("printf 'one\\ntwo'")) == b"one\ntwo"

    def test_l03_no_output_is_an_empty_log_that_ends(self, bench: Bench) -> None:
        task = bench.submit("true")
        assert [c for c in bench.followed(task) if c.data] == []
        assert [c for c in bench.end(task).logs() if c.data] == []

    def test_l04_five_megabytes_arrive_whole(self, bench: Bench) -> None:
        task = bench.submit(f"yes 0123456789abcdef | head -c {_SIZE}")
        followed = joined(bench.followed(task), bench.stdout)
        expected = (b"0123456789abcdef\n" * (_SIZE // 17 + 1))[:_SIZE]
        assert hashlib.sha256(followed).digest() == hashlib.sha256(expected).digest()
        assert bench.output(bench.end(task)) == expected

    def test_l05_a_megabyte_without_newline_arrives_whole(self, bench: Bench) -> None:
        task = bench.run("head -c 1000000 /dev/zero | tr '\\0' x")
        assert bench.output(task) == b"x" * 1_000_000

    def test_l06_lines_keep_their_order(self, bench: Bench) -> None:
        task = bench.run("i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done")
        assert bench.output(task).decode().splitlines() == [str(n) for n in range(5000)]

    def test_l07_a_follower_reads_while_the_task_runs(self, bench: Bench) -> None:
        task = bench.started(bench.submit("echo up; sleep 60"))
        assert task.status == "running"
        task.cancel(0.0)
        bench.end(task)

    def test_l08_a_follower_ends_once_with_the_task(self, bench: Bench) -> None:
        task = bench.submit("echo a; sleep 0.3; echo b; sleep 0.3; printf c")
        chunks = task.logs(follow=True)
        assert joined(bench.collected(chunks), bench.stdout) == b"a\nb\nc"
        assert list(chunks) == []
        assert task.status == "succeeded"
        assert joined(bench.followed(bench.client().task(task.id)), bench.stdout) == b"a\nb\nc"

    def test_l09_a_follower_ends_when_the_task_is_cancelled(self, bench: Bench) -> None:
        task = bench.started(bench.submit("echo up; sleep 60"))
        threading.Timer(0.3, lambda: bench.client().task(task.id).cancel(0.0)).start()
        assert joined(bench.followed(task), bench.stdout) == b"up\n"
        assert bench.end(task).status == "cancelled"

    def test_l10_reading_goes_on_exactly_at_every_cursor(self, bench: Bench) -> None:
        self.need_exact_log(bench)
        whole = b"one\ntwo\n\xff\x00\n\nlast"
        task = bench.run("printf 'one\\ntwo\\n\\377\\000\\n\\nlast'")
        for offset in range(len(whole) + 1):
            cursor = LogCursor({(1, 0, bench.stdout): Position(offset)})
            rest = [c for c in task.logs(cursor=cursor) if c.stream == bench.stdout]
            assert b"".join(c.data for c in rest) == whole[offset:]
            assert not rest or rest[0].offset == offset

    def test_l11_reading_goes_on_exactly_behind_every_chunk(self, bench: Bench) -> None:
        self.need_exact_log(bench)
        task = bench.submit("for i in 1 2 3 4; do echo $i; echo e$i >&2; sleep 0.1; done")
        chunks, cursors = [], [LogCursor()]
        for chunk in bench.followed(task):
            chunks.append(chunk)
            cursors.append(cursors[-1].after(chunk))
        whole = self._by_stream(chunks)
        for number, cursor in enumerate(cursors):
            rest = self._by_stream(list(task.logs(cursor=cursor)))
            read = self._by_stream(chunks[:number])
            assert {s: read.get(s, b"") + rest.get(s, b"") for s in whole} == whole

    def _by_stream(self, chunks: list[LogChunk]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for chunk in chunks:
            found[chunk.stream] = found.get(chunk.stream, b"") + chunk.data
        return found

    def test_l12_a_new_process_goes_on_where_another_stopped(self, bench: Bench) -> None:
        self.need_exact_log(bench)
        task = bench.started(bench.submit("echo up; sleep 0.5; printf 'more\\376'"), b"up\n")
        bench.end(task)
        rest = bench.child("logs", task=task.id, positions=[(1, 0, bench.stdout, 3, "")])
        assert [(a, r, s) for a, r, s, _ in rest] == [(1, 0, bench.stdout)]
        assert b"".join(base64.b64decode(data) for *_, data in rest) == b"more\xfe"

    def test_l13_a_log_is_the_same_each_time_it_is_read(self, bench: Bench) -> None:
        task = bench.run("echo a; echo b >&2; printf c")
        first, second = (self._by_stream(list(bench.client().task(task.id).logs())) for _ in range(2))
        assert first == second

    def test_l14_the_two_streams_are_kept_apart(self, bench: Bench) -> None:
        self.need_fact(bench, "separate_streams")
        task = bench.run("printf out; printf err >&2")
        assert self._by_stream(list(task.logs())) == {"stdout": b"out", "stderr": b"err"}
        assert self._by_stream(list(task.logs(streams=("stderr",)))) == {"stderr": b"err"}

    def test_l15_where_streams_are_not_apart_both_are_there_once(self, bench: Bench) -> None:
        if bench.provider.facts.separate_streams:
            pytest.skip(f"{self.plugin_name()} keeps the streams apart")
        task = bench.run("echo out; echo err >&2")
        found = self._by_stream(list(task.logs()))
        assert set(found) == {"both"}
        assert sorted(found["both"].splitlines()) == [b"err", b"out"]

    def test_l16_each_rank_has_a_log_of_its_own(self, bench: Bench) -> None:
        self.need_fact(bench, "multi_node")
        task = bench.run('printf "rank %s" "$FLOW_NODE_RANK"', num_instances=2)
        assert [bench.output(task, rank=rank) for rank in (0, 1)] == [b"rank 0", b"rank 1"]
        assert {c.rank for c in task.logs(ranks=[1])} == {1}

    def test_l17_each_attempt_has_a_log_of_its_own(self, bench: Bench) -> None:
        task = bench.submit('echo "try $FLOW_ATTEMPT"; test "$FLOW_ATTEMPT" = 2', retries=1)
        followed = bench.followed(task)
        bench.end(task)
        for chunks in (followed, list(task.logs())):
            said = {n: b"".join(c.data for c in chunks if (c.attempt, c.stream) == (n, bench.stdout)) for n in (1, 2)}
            assert said == {1: b"try 1\n", 2: b"try 2\n"}

    def test_l18_a_reader_may_stop_at_any_time(self, bench: Bench) -> None:
        task = bench.started(bench.submit("echo up; sleep 60"))
        before = threading.active_count()
        for _ in range(3):
            chunks: Any = task.logs(follow=True)
            with closing(chunks):
                next(chunks)
        bench.until(lambda: threading.active_count() <= before, "a reader that was closed left a thread")
        task.cancel(0.0)
        assert bench.output(bench.end(task)) == b"up\n"

    def test_l19_the_log_of_nothing_is_an_error_or_empty(self, bench: Bench) -> None:
        self.need(bench, "flow_logs_read")
        try:
            chunks = list(bench.provider.logs(TaskRef(new_request_id()), LogCursor(), False))
        except FlowError:
            return
        assert chunks == []

    def test_l20_what_is_written_last_is_not_lost(self, bench: Bench) -> None:
        for _ in range(5):
            task: Task = bench.submit("echo first; echo last")
            assert joined(bench.followed(task), bench.stdout) == b"first\nlast\n"
