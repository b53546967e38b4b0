"""Tables on terminals of any width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flow_core.cli._rows import HEADER
from flow_core.cli._table import table

RUNNING = ("t01m8514ppbe2c9k4", "svc", "running", "", "local", "", "1", "4s ago", "4.0s", "")
FAILED = ("t01m8514nnbe2c9k4", "fit", "failed", "3", "local", "", "1", "1h ago", "0.1s", "rank 0 was killed for memory")


def test_there_is_room_for_an_interrupt_behind_the_longest_line(drawn):
    for width in range(40, 120):
        assert max(map(len, drawn(width, RUNNING, FAILED))) <= width - 2


@pytest.fixture
def drawn(monkeypatch):
    def draw(width, *rows):
        monkeypatch.setenv("COLUMNS", str(width))
        out = io.StringIO()
        Console(file=out, width=width).print(table(HEADER, rows))
        return [line.rstrip() for line in out.getvalue().splitlines()]

    return draw


def test_a_narrow_terminal_has_the_columns_that_count_and_has_them_whole(drawn):
    assert drawn(40, RUNNING) == [
        "ID                 NAME  STATUS   TIME",
        "t01m8514ppbe2c9k4  svc   running  4.0s",
    ]


def test_the_last_column_takes_what_is_left(drawn):
    assert drawn(60, RUNNING, FAILED) == [
        "ID                 NAME  STATUS   EXIT  TIME  REASON",
        "t01m8514ppbe2c9k4  svc   running        4.0s",
        "t01m8514nnbe2c9k4  fit   failed   3     0.1s  rank 0 was …",
    ]


def test_a_long_name_costs_no_other_column(drawn):
    long = (FAILED[0], "n" * 48, *FAILED[2:])
    assert drawn(80, long)[0].split() == ["ID", "NAME", "STATUS", "EXIT", "TIME", "REASON"]
    assert "n" * 23 + "…" in drawn(80, long)[1]


def test_a_column_that_says_nothing_is_left_out_on_a_wide_terminal_too(drawn):
    assert drawn(200, RUNNING)[0].split() == ["ID", "NAME", "STATUS", "PROFILE", "NODES", "CREATED", "TIME"]
