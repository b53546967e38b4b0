"""The log reader yields every byte once, in order, wherever the folder goes and whoever writes."""

import io
import json
import os
import re
import resource
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import flow_core.runner
from flow_core.runner import inotify, reader
from flow_core.runner.reader import BLOCK, Piece


class Folder:
    """A task folder as a runner makes it."""

    def __init__(self, path):
        self.path = path
        path.mkdir()

    def rank(self, attempt=1, rank=0):
        place = self.path / "attempts" / str(attempt) / str(rank)
        place.mkdir(parents=True, exist_ok=True)
        return place

    def write(self, data, attempt=1, rank=0, stream="stdout"):
        with open(self.rank(attempt, rank) / stream, "ab", buffering=0) as file:
            file.write(data)

    def index(self, *records, tail=b"", attempt=1, rank=0, stream="stdout"):
        data = b"".join(struct.pack("<QQ", offset, int(seconds * 1e9)) for offset, seconds in records)
        self.write(data + tail, attempt, rank, stream + ".idx")

    def end(self):
        (self.path / ".final").write_text(json.dumps({"state": "succeeded"}))
        (self.path / ".final").rename(self.path / "final.json")


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "task")


@pytest.fixture(params=["inotify", "poll"])
def either_way(request, monkeypatch):
    if request.param == "poll":
        monkeypatch.setattr(inotify, "_open_inotify", lambda: -1)


class Following(threading.Thread):
    """A follower in a thread of its own, whose pieces can be waited for."""

    def __init__(self, folder, cursor=None, **more):
        super().__init__(daemon=True)
        self.pieces, self._come = [], threading.Condition()
        self._reading = reader.read(folder.path, cursor or {}, True, **more)
        self.start()

    def run(self):
        for piece in self._reading:
            with self._come:
                self.pieces.append(piece)
                self._come.notify_all()

    def data(self, **key):
        return b"".join(p.data for p in self.pieces if all(getattr(p, k) == v for k, v in key.items()))

    def until(self, data):
        with self._come:
            assert self._come.wait_for(lambda: self.data() == data, 5), self.data()

    def ended(self):
        self.join(5)
        assert not self.is_alive()
        return self.pieces


def once(folder, cursor=None, **more):
    return list(reader.read(folder.path, cursor or {}, False, **more))


def joined(pieces):
    """The bytes of each stream, after a check that offsets leave neither gap nor overlap."""
    found = {}
    for piece in pieces:
        key = piece[:3]
        assert piece.offset == len(found.get(key, b""))
        found[key] = found.get(key, b"") + piece.data
    return found


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_once_yields_what_is_there(folder):
    folder.write(b"out\n")
    folder.write(b"err\n", stream="stderr")
    assert joined(once(folder)) == {(1, 0, "stdout"): b"out\n", (1, 0, "stderr"): b"err\n"}


def test_bytes_that_are_no_text_come_as_they_are(folder):
    data = bytes(range(256)) + b"\xff\xfe\r\n\0 no end of line"
    folder.write(data)
    assert joined(once(folder)) == {(1, 0, "stdout"): data}


def test_a_task_that_has_not_begun_has_no_pieces(folder):
    assert once(folder) == []


def test_a_missing_folder_is_an_error_at_the_call(tmp_path):
    with pytest.raises(FileNotFoundError):
        reader.read(tmp_path / "none", {}, True)


def test_system_words_come_only_when_asked_for(folder):
    folder.write(b"out\n")
    folder.write(b"flow says\n", stream="system")
    assert {p.stream for p in once(folder)} == {"stdout"}
    assert {p.stream for p in once(folder, streams=("system",))} == {"system"}


def test_only_the_ranks_asked_for_come(folder):
    for rank in range(3):
        folder.write(b"%d\n" % rank, rank=rank)
    assert [p.rank for p in once(folder, ranks=[2, 0])] == [0, 2]


def test_attempts_come_in_the_order_of_their_numbers(folder):
    for attempt in (10, 9, 1):
        folder.write(b"x", attempt=attempt)
    assert [p.attempt for p in once(folder)] == [1, 9, 10]


def test_a_cursor_resumes_at_its_byte(folder):
    folder.write(b"0123456789")
    (piece,) = once(folder, {(1, 0, "stdout"): 7})
    assert (piece.offset, piece.data) == (7, b"789")


def test_a_cursor_at_the_end_yields_nothing(folder):
    folder.write(b"0123")
    assert once(folder, {(1, 0, "stdout"): 4}) == []


def test_a_cursor_behind_the_end_waits_for_its_byte(folder):
    """A network file system may show a file shorter than another client saw it."""
    folder.write(b"0123")
    following = Following(folder, {(1, 0, "stdout"): 6})
    folder.write(b"456789")
    folder.end()
    assert b"".join(p.data for p in following.ended()) == b"6789"


def test_a_large_file_comes_in_pieces_of_at_most_256_kib(folder):
    data = os.urandom(3 * BLOCK + 17)
    folder.write(data)
    pieces = once(folder)
    assert joined(pieces) == {(1, 0, "stdout"): data}
    assert max(len(p.data) for p in pieces) == BLOCK == 256 * 1024


def test_large_files_of_an_attempt_take_turns(folder):
    for rank in range(2):
        folder.write(bytes(2 * BLOCK), rank=rank)
    assert [p.rank for p in once(folder)] == [0, 1, 0, 1]


def test_memory_stays_flat_for_a_line_of_64_mib(folder):
    with open(folder.rank() / "stdout", "wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    try:
        assert sum(len(p.data) for p in reader.read(folder.path, {}, False)) == 64 << 20
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("either_way")
def test_a_follower_sees_files_that_come_later_and_ends_with_the_task(folder):
    following = Following(folder)
    folder.write(b"one\n")
    following.until(b"one\n")
    folder.write(b"two\n")
    following.until(b"one\ntwo\n")
    folder.write(b"again\n", attempt=2)
    following.until(b"one\ntwo\nagain\n")
    folder.write(b"last", attempt=2, stream="stderr")
    folder.end()
    assert joined(following.ended()) == {
        (1, 0, "stdout"): b"one\ntwo\n",
        (2, 0, "stdout"): b"again\n",
        (2, 0, "stderr"): b"last",
    }


@pytest.mark.usefixtures("either_way")
def test_a_folder_that_moves_is_followed(folder, tmp_path):
    folder.write(b"here\n")
    following = Following(folder)
    following.until(b"here\n")
    (tmp_path / "done").mkdir()
    folder.path = folder.path.rename(tmp_path / "done" / "task")
    folder.write(b"there\n")
    following.until(b"here\nthere\n")
    folder.write(b"more\n", attempt=2)
    folder.end()
    following.ended()
    assert following.data() == b"here\nthere\nmore\n"


def test_a_final_task_ends_a_follower_at_once(folder):
    folder.write(b"all\n")
    folder.end()
    assert joined(Following(folder).ended()) == {(1, 0, "stdout"): b"all\n"}


def test_deleted_logs_end_a_follower(folder):
    import shutil

    folder.write(b"all\n")
    following = Following(folder)
    following.until(b"all\n")
    shutil.rmtree(folder.path)
    following.ended()


@pytest.mark.usefixtures("either_way")
def test_closed_is_asked_each_second_and_ends_a_follower_after_all_that_is_there(folder):
    asked = []

    def closed():
        asked.append(time.monotonic())
        if len(asked) == 2:
            folder.write(b"last words\n")
        return len(asked) == 2

    following = Following(folder, closed=closed)
    assert b"".join(p.data for p in following.ended()) == b"last words\n"
    assert asked[1] - asked[0] <= 1


def test_closed_is_asked_while_a_task_never_stops_talking(folder):
    folder.write(b"first\n")
    asked = []
    for _ in reader.read(folder.path, {}, True, closed=lambda: asked.append(time.monotonic()) or len(asked) == 2):
        folder.write(b"more\n")
    assert len(asked) == 2
    assert asked[1] - asked[0] <= 1


def test_a_follower_of_a_silent_task_is_not_woken(folder):
    folder.write(b"one\n")
    following = Following(folder)
    following.until(b"one\n")
    status = Path("/proc/self/task/%d/status" % following.native_id)
    deadline = time.monotonic() + 5
    while "(sleeping)" not in status.read_text():
        assert time.monotonic() < deadline
    switches = re.findall(r"ctxt.*", status.read_text())
    following.join(1)
    assert re.findall(r"ctxt.*", status.read_text()) == switches
    folder.end()
    following.ended()


def test_close_releases_all_descriptors(folder):
    folder.write(b"x")
    before = open_files()
    pieces = reader.read(folder.path, {}, True)
    next(pieces)
    assert open_files() > before
    pieces.close()
    pieces.close()
    assert open_files() == before


def test_a_reading_that_was_never_begun_or_has_ended_holds_nothing(folder):
    folder.write(b"x")
    before = open_files()
    reader.read(folder.path, {}, True).close()
    once(folder)
    folder.end()
    list(reader.read(folder.path, {}, True))
    assert open_files() == before


def test_a_follower_of_many_ranks_holds_few_descriptors(folder):
    for rank in range(100):
        folder.write(b"x", rank=rank)
    before = open_files()
    pieces = reader.read(folder.path, {}, True)
    for _ in range(100):
        next(pieces)
    assert open_files() - before <= 3
    pieces.close()


def test_a_log_that_the_task_truncates_is_read_from_its_beginning(folder):
    """``echo x > /dev/stdout`` truncates a stdout that is a file."""
    folder.write(b"before\n")
    following = Following(folder)
    following.until(b"before\n")
    os.truncate(folder.rank() / "stdout", 0)
    folder.write(b"new\n")
    following.until(b"before\nnew\n")
    assert following.pieces[-1].offset == 0
    folder.end()
    following.ended()


def test_nothing_is_lost_while_many_write_and_the_folder_moves(folder, tmp_path):
    lines = [b"%d %s\n" % (number, b"x" * (number % 300)) for number in range(4000)]
    code = "import os, sys\nfor line in sys.stdin.buffer: os.write(1, line)"
    writers = []
    for rank in range(2):
        with open(folder.rank(rank=rank) / "stdout", "ab") as out:
            writers.append(subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=out))
    following = Following(folder)
    for number, writer in enumerate(writers):
        writer.stdin.write(b"".join(lines))
        writer.stdin.close()
        folder.path = folder.path.rename(tmp_path / ("moved%d" % number))
    for writer in writers:
        assert writer.wait(20) == 0
    folder.end()
    assert joined(following.ended()) == {(1, rank, "stdout"): b"".join(lines) for rank in range(2)}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=5),
    records=st.lists(st.integers(0, 200)),
)
def test_reading_on_from_any_cursor_gives_the_same_bytes(tmp_path_factory, data, cuts, records):
    folder = Folder(tmp_path_factory.mktemp("law") / "task")
    folder.write(data)
    folder.index(*((offset, number) for number, offset in enumerate(sorted(records))))
    stops = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    read = b""
    for start in stops[:-1] or [0]:
        pieces = once(folder, {(1, 0, "stdout"): start})
        assert b"".join(p.data for p in pieces) == data[start:]
        for piece in pieces:
            assert piece.data
            assert piece.time == reader.time_at(folder.rank(), "stdout", piece.offset)
        read += b"".join(p.data for p in pieces)[: [*stops, 0][stops.index(start) + 1] - start]
    assert read == data


def test_pieces_have_the_times_of_the_index(folder):
    folder.write(b"aaabbbccc")
    folder.index((0, 100.0), (3, 200.5), (6, 300.0))
    assert [(p.data, p.time) for p in once(folder)] == [(b"aaa", 100.0), (b"bbb", 200.5), (b"ccc", 300.0)]


def test_a_torn_index_record_is_ignored(folder):
    folder.write(b"aaabbb")
    folder.index((0, 100.0), tail=struct.pack("<Q", 3) + b"\x01\x02")
    assert [(p.data, p.time) for p in once(folder)] == [(b"aaabbb", 100.0)]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(st.integers(0, 12), max_size=6), start=st.integers(0, 10))
def test_a_damaged_index_costs_no_byte(tmp_path_factory, records, start):
    folder = Folder(tmp_path_factory.mktemp("law") / "task")
    folder.write(b"0123456789")
    folder.index(*((offset, number) for number, offset in enumerate(records)))
    pieces = once(folder, {(1, 0, "stdout"): start})
    assert b"".join(p.data for p in pieces) == b"0123456789"[start:]


def test_without_index_the_time_is_that_of_the_last_write(folder):
    folder.write(b"aaa")
    os.utime(folder.rank(1, 0) / "stdout", (5, 5))
    assert once(folder) == [Piece(1, 0, "stdout", 0, b"aaa", 5.0)]


def test_bytes_before_the_first_record_have_no_time(folder):
    folder.write(b"aaabbb")
    folder.index((3, 100.0))
    assert [(p.data, p.time) for p in once(folder)] == [(b"aaa", None), (b"bbb", 100.0)]


def test_time_at_finds_the_record_of_an_offset_among_many(folder):
    folder.index(*((number * 10, float(number)) for number in range(5000)))
    assert [reader.time_at(folder.rank(), "stdout", offset) for offset in (0, 9, 10, 25009, 10**9)] == [
        0.0,
        0.0,
        1.0,
        2500.0,
        4999.0,
    ]
    assert reader.time_at(folder.rank(), "stderr", 0) is None


def test_a_line_that_comes_before_its_index_record_has_not_the_time_of_the_line_before(folder):
    folder.write(b"an hour ago\n")
    folder.index((0, time.time() - 3600))
    following = Following(folder)
    following.until(b"an hour ago\n")
    folder.write(b"now\n")
    following.until(b"an hour ago\nnow\n")
    assert abs(following.pieces[-1].time - time.time()) < 60
    folder.end()
    following.ended()


@pytest.mark.parametrize(
    ("lines", "rest"),
    [(0, b""), (1, b"three\n"), (2, b"two\nthree\n"), (3, b"one\ntwo\nthree\n"), (9, b"one\ntwo\nthree\n")],
)
def test_tail_begins_at_the_last_lines(folder, lines, rest):
    folder.write(b"one\ntwo\nthree\n")
    cursor = reader.tail(folder.path, lines)
    assert list(cursor) == [(1, 0, "stdout")]
    assert b"".join(p.data for p in once(folder, cursor)) == rest


def test_tail_counts_a_line_without_an_end(folder):
    folder.write(b"one\ntwo\nthr")
    assert once(folder, reader.tail(folder.path, 2))[0].data == b"two\nthr"


def test_tail_counts_each_stream_for_itself(folder):
    folder.write(b"1\n2\n")
    folder.write(b"3\n4\n", stream="stderr")
    assert reader.tail(folder.path, 1) == {(1, 0, "stdout"): 2, (1, 0, "stderr"): 2}


def test_tail_reaches_into_the_attempt_before_only_for_what_is_missing(folder):
    folder.write(b"1\n2\n3\n", attempt=1)
    folder.write(b"4\n", attempt=2)
    assert [p.data for p in once(folder, reader.tail(folder.path, 2))] == [b"3\n", b"4\n"]
    assert [p.data for p in once(folder, reader.tail(folder.path, 1))] == [b"4\n"]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.sampled_from([b"", b"x", b"y" * 70_000, b"z" * 65_535])),
    end=st.booleans(),
    n=st.integers(1, 6),
)
def test_tail_agrees_with_splitlines(tmp_path_factory, lines, end, n):
    data = b"\n".join(lines) + (b"\n" if end and lines else b"")
    folder = Folder(tmp_path_factory.mktemp("law") / "task")
    folder.write(data)
    kept = b"".join(data.splitlines(keepends=True)[-n:])
    assert reader.tail(folder.path, n) == {(1, 0, "stdout"): len(data) - len(kept)}


def test_since_begins_at_the_line_written_then(folder):
    folder.write(b"aa\nbb\ncc\n")
    folder.index((0, 100.0), (3, 200.0), (6, 300.0))
    key = (1, 0, "stdout")
    assert [reader.since(folder.path, at)[key] for at in (50, 100, 150, 200, 300)] == [0, 0, 3, 3, 6]


def test_since_begins_at_the_start_of_a_line_that_was_being_written(folder):
    folder.write(b"aa\nbbbb\n")
    folder.index((0, 100.0), (5, 200.0))
    assert reader.since(folder.path, 150) == {(1, 0, "stdout"): 3}


def test_since_skips_what_was_last_written_before(folder):
    folder.write(b"aa\nbb\n")
    folder.index((0, 100.0), (3, 200.0))
    os.utime(folder.rank() / "stdout", (200, 200))
    assert reader.since(folder.path, 250) == {(1, 0, "stdout"): 6}


def test_since_leaves_out_nothing_that_may_be_newer_than_the_index(folder):
    folder.write(b"aa\nbb\n")
    folder.index((0, 100.0), (3, 200.0))
    assert reader.since(folder.path, 250) == {(1, 0, "stdout"): 3}


def test_since_without_index_gives_all_or_nothing(folder):
    folder.write(b"aa\n")
    assert reader.since(folder.path, time.time() - 60) == {(1, 0, "stdout"): 0}
    assert reader.since(folder.path, time.time() + 60) == {(1, 0, "stdout"): 3}


def test_frames_carry_the_pieces_and_the_report(folder):
    folder.write(b"\x00\xff\n{}" * 100_000)
    folder.write(b"err", stream="stderr")
    folder.index((0, 100.0))
    folder.end()
    out = io.BytesIO()
    reader.write_frames(out, folder.path, {}, True)
    *pieces, end = reader.parse_frames(io.BytesIO(out.getvalue()))
    assert pieces == once(folder)
    assert end == {"end": "final", "report": {"state": "succeeded"}}


def test_a_frame_has_the_documented_header(folder):
    folder.write(b"data")
    os.utime(folder.rank(1, 0) / "stdout", (5, 5))
    folder.end()
    out = io.BytesIO()
    reader.write_frames(out, folder.path, {}, False)
    assert out.getvalue().startswith(b'{"a":1,"r":0,"s":"stdout","o":0,"n":4,"t":5.0}\ndata{"end":"final"')


def test_frames_that_were_cut_anywhere_resume_without_loss(folder):
    folder.write(b"one\ntwo\n")
    folder.write(b"three\n", attempt=2)
    folder.end()
    out = io.BytesIO()
    reader.write_frames(out, folder.path, {}, True)
    for cut in range(len(out.getvalue())):
        pieces = list(reader.parse_frames(io.BytesIO(out.getvalue()[:cut])))
        assert all(isinstance(piece, Piece) for piece in pieces)
        cursor = {piece[:3]: piece.offset + len(piece.data) for piece in pieces}
        assert joined(pieces + once(folder, cursor)) == joined(once(folder))


@pytest.mark.parametrize(
    "noise",
    [b"Welcome to node7\n", b"[]\n", b'{"n":-1}\n', b'{"n":4}\nabcd', b'{"n":999999999}\n', b"x" * 9999],
)
def test_what_is_no_frame_is_an_error(noise):
    with pytest.raises(ValueError, match="no log frame"):
        list(reader.parse_frames(io.BytesIO(noise)))


def test_a_quiet_follower_sends_beats(folder, monkeypatch):
    monkeypatch.setattr(reader, "_BEAT", 1.0)
    out = io.BytesIO()
    reader.write_frames(out, folder.path, {}, True, closed=lambda: b"beat" in out.getvalue())
    beat, end = reader.parse_frames(io.BytesIO(out.getvalue()))
    assert abs(beat["beat"] - time.time()) < 60
    assert end["end"] == "closed"


@given(
    st.dictionaries(
        st.tuples(st.integers(1, 99), st.integers(0, 1023), st.sampled_from(["stdout", "system"])),
        st.integers(0),
    )
)
def test_a_cursor_survives_its_text(cursor):
    assert reader.parse_cursor(reader.write_cursor(cursor)) == cursor


@pytest.mark.parametrize("text", ["", "[]", "{", '{"1.stdout": 3}', '{"1.0.stdout": "x"}', '{"1.0.stdout": null}'])
def test_a_text_that_is_no_cursor_is_an_error(text):
    with pytest.raises(ValueError, match="cursor"):
        reader.parse_cursor(text)


@pytest.fixture
def node(tmp_path):
    """Runs the command as on a node, where the runner is alone."""
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "runner").symlink_to(Path(flow_core.runner.__file__).parent)
    code = "import sys; from runner.reader import main; sys.exit(main(sys.argv[1:]))"

    def start(*words, **more):
        argv = [sys.executable, "-c", code, *words]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=tmp_path / "alone", **more)

    return start


def test_the_command_streams_a_live_task_to_another_process(folder, tmp_path, node):
    folder.write(b"skipped kept\n")
    process = node(str(folder.path), '{"1.0.stdout": 8}', "follow", "--stream", "both")
    frames = reader.parse_frames(process.stdout)
    assert next(frames).data == b"kept\n"
    folder.path = folder.path.rename(tmp_path / "elsewhere")
    folder.write(b"err\n", stream="stderr")
    assert next(frames)[2:5] == ("stderr", 0, b"err\n")
    folder.end()
    assert [frame["end"] for frame in frames] == ["final"]
    assert process.wait(5) == 0
    process.stdout.close()


def test_the_command_tells_the_end_without_a_byte_of_the_log(folder, node):
    folder.write(b"much\n")
    folder.write(b"more\n", stream="stderr")
    process = node(str(folder.path), "{}", "follow", "--stream", "none")
    folder.end()
    assert [frame["end"] for frame in reader.parse_frames(process.stdout)] == ["final"]
    assert process.wait(5) == 0
    process.stdout.close()


def test_the_command_begins_at_the_last_lines(folder, node):
    folder.write(b"1\n2\n3\n")
    process = node(str(folder.path), "{}", "once", "--tail", "1", "--rank", "0")
    piece, _ = reader.parse_frames(process.stdout)
    assert (piece.offset, piece.data) == (4, b"3\n")
    assert process.wait(5) == 0
    process.stdout.close()


def test_the_command_ends_quietly_when_nobody_reads(folder, node):
    folder.write(b"x")
    process = node(str(folder.path), "{}", "follow", stderr=subprocess.PIPE)
    next(reader.parse_frames(process.stdout))
    process.stdout.close()
    folder.write(b"y")
    assert process.wait(5) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


def test_the_command_says_when_there_is_no_such_task(tmp_path, node):
    process = node(str(tmp_path / "none"), "{}", "once", stderr=subprocess.PIPE)
    assert b"no task folder" in process.communicate(timeout=5)[1]
    assert process.returncode == 66


def test_a_line_is_in_the_followers_hand_at_once(folder):
    folder.write(b"")
    following = Following(folder)
    delays = []
    for number in range(200):
        sent = time.perf_counter()
        folder.write(b"%03d\n" % number)
        with following._come:
            assert following._come.wait_for(lambda n=number: len(following.pieces) > n, 5)
        delays.append(time.perf_counter() - sent)
    folder.end()
    following.ended()
    assert sorted(delays)[100] < 0.005  # two threads of one interpreter; about 0.2 ms between processes


def test_a_thousand_ranks_are_read_within_the_usual_limit_of_descriptors(folder):
    for rank in range(1024):
        folder.write(b"x", rank=rank)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = len(os.listdir("/proc/self/fd")) + 200  # beside what other tests have open
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(room, hard), hard))
    try:
        folder.end()
        assert len(list(reader.read(folder.path, {}, True))) == 1024
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
