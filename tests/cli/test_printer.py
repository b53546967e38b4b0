"""A log on its way to the user: nothing lost, nothing torn."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from flow_core.cli._printer import Lines, Printer, Raw
from flow_core.secrets import Redactor, Secret
from flow_core.types import LogChunk, Position

Pieces = Sequence[tuple[int, str, bytes]]
_PIECES = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["stdout", "stderr"]),
        st.binary(max_size=20) | st.sampled_from([b"a\nb", b"\n"]),
    ),
    max_size=30,
)


def _chunks(pieces: Pieces, time: float | None = None) -> list[LogChunk]:
    offsets: dict[tuple[int, str], int] = {}
    found = []
    for rank, stream, data in pieces:
        offset = offsets.get((rank, stream), 0)
        offsets[rank, stream] = offset + len(data)
        found.append(LogChunk(1, rank, stream, offset, data, time))
    return found


def _printed(
    chunks: Sequence[LogChunk], lines: bool = False, times: bool = False, redactor: Redactor | None = None
) -> tuple[bytes, bytes]:
    out, err = io.BytesIO(), io.BytesIO()
    printer = Printer(Lines(out, err, times) if lines or times else Raw(out, err), redactor)
    for chunk in chunks:
        printer.write(chunk)
    printer.finish()
    return out.getvalue(), err.getvalue()


@given(_PIECES)
def test_raw_bytes_are_written_as_they_come(pieces: Pieces) -> None:
    out, err = _printed(_chunks(pieces))
    assert out == b"".join(data for _, stream, data in pieces if stream == "stdout")
    assert err == b"".join(data for _, stream, data in pieces if stream == "stderr")


@given(_PIECES)
def test_lines_of_each_stream_come_whole_and_none_is_lost(pieces: Pieces) -> None:
    out, err = _printed(_chunks(pieces), lines=True)
    for name, written in (("stdout", out), ("stderr", err)):
        whole = [b"".join(d for r, s, d in pieces if (r, s) == (rank, name)) for rank in range(3)]
        wanted = sorted(line for stream in whole for line in stream.split(b"\n")[:-1])
        rest = [stream.rpartition(b"\n")[2] for stream in whole]
        ends = b"".join(sorted(rest))
        assert len(written) == sum(map(len, whole))
        assert sorted(written[: len(written) - len(ends)].split(b"\n")[:-1]) == wanted


@given(_PIECES)
def test_the_cursor_is_behind_what_was_written(pieces: Pieces) -> None:
    printer = Printer(Raw(io.BytesIO(), io.BytesIO()))
    ends: dict[tuple[int, int, str], int] = {}
    for chunk in _chunks(pieces):
        printer.write(chunk)
        ends[1, chunk.rank, chunk.stream] = chunk.offset + len(chunk.data)
        assert printer.cursor.positions == {place: Position(end) for place, end in ends.items()}


@given(st.integers(1, 7))
def test_a_secret_that_comes_in_pieces_is_masked_whole(size: int) -> None:
    text = b"before hunter2-secret after hunter2-secre"
    pieces = [(0, "stdout", text[start : start + size]) for start in range(0, len(text), size)]
    out, _ = _printed(_chunks(pieces), redactor=Redactor([Secret("hunter2-secret", "T")]))
    assert out == b"before *** after hunter2-secre"


def test_masks_of_several_streams_do_not_meet() -> None:
    pieces = [
        (0, "stdout", b"hunter2-"),
        (1, "stdout", b"hunter2-"),
        (0, "stdout", b"secret\n"),
        (1, "stdout", b"other\n"),
    ]
    out, _ = _printed(_chunks(pieces), lines=True, redactor=Redactor([Secret("hunter2-secret", "T")]))
    assert sorted(out.splitlines()) == [b"***", b"hunter2-other"]


@pytest.mark.parametrize(
    ("time", "prefix"), [(1700000000.25, b"2023-11-14T22:13:20.250Z "), (None, b"------------------------ ")]
)
def test_a_time_stands_before_each_line_in_the_same_width(time: float | None, prefix: bytes) -> None:
    out, _ = _printed(_chunks([(0, "stdout", b"a\nb"), (0, "stdout", b"c\n")], time), times=True)
    assert out == prefix + b"a\n" + prefix + b"bc\n"


def test_a_line_has_the_time_of_its_first_byte() -> None:
    chunks = [LogChunk(1, 0, "stdout", 0, b"begun ", 1000.0), LogChunk(1, 0, "stdout", 6, b"ended\n", 2000.0)]
    assert _printed(chunks, times=True)[0] == b"1970-01-01T00:16:40.000Z begun ended\n"


def test_bytes_that_are_known_to_be_lost_are_said(capfd: pytest.CaptureFixture[str]) -> None:
    _printed([LogChunk(1, 0, "stdout", 500, b"rest\n", gap=400)])
    assert capfd.readouterr().err == "flow: warning: 400 bytes of stdout (node 0) are lost before this\n"


def test_a_line_too_long_to_hold_back_has_its_time_once() -> None:
    pieces = [(0, "stdout", b"x" * 700_000)] * 4 + [(0, "stdout", b"end\nnext\n")]
    out, _ = _printed(_chunks(pieces, time=0.0), times=True)
    stamp = b"1970-01-01T00:00:00.000Z "
    assert out == stamp + b"x" * 2_800_000 + b"end\n" + stamp + b"next\n"
