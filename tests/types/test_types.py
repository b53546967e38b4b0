"""The records and their small laws."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
from hypothesis import given, strategies as st

from flow_core.types import (
    FINAL_STATES,
    LIVE_STATES,
    TRANSITIONS,
    LogChunk,
    LogCursor,
    Position,
    SecretBox,
    TaskConfig,
    TaskRef,
    format_duration,
    format_ref,
    format_size,
    is_request_id,
    may_become,
    new_request_id,
    new_task_id,
    parse_duration,
    parse_instance_type,
    parse_ref,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("1h30m", 5400),
        ("2d", 172800),
        ("2-12:00:00", 216000),
        ("00:00:30", 30),
        ("45", 45),
        ("1.5h", 5400),
        ("250ms", 0.25),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert math.isclose(parse_duration(text), seconds)


@pytest.mark.parametrize("text", ["", "h", "1x", "1h 30", "-5s", "1:90:00", "nan", "1e3", "٣s"])
def test_what_is_no_duration_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("512MiB", 512 * 2**20), ("16gib", 16 * 2**30), ("100GB", 10**11), ("7", 7), ("1.5 KiB", 1536), ("3B", 3)],
)
def test_sizes_are_read_as_people_write_them(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "GB", "-1", "1.5", "10 G", "10GiBs"])
def test_what_is_no_size_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match="16GiB"):
        parse_size(text)


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (16 * 2**30, "16 GiB")])
def test_sizes_are_shown_in_1024s(count: int, text: str) -> None:
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "0.2s"), (45, "45s"), (5400, "1h30m"), (187200, "2d4h"), (3, "3s")]
)
def test_durations_are_shown_in_two_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "kind", "count"),
    [
        ("a100", "a100", None),
        ("8xh100", "h100", 8),
        ("h100:8", "h100", 8),
        ("cpu", "cpu", None),
        ("32xCPU", "cpu", 32),
        ("n1-std-4", "n1-std-4", None),
    ],
)
def test_instance_types_are_read_by_the_users_grammar(text: str, kind: str, count: int | None) -> None:
    found = parse_instance_type(text)

    assert (found.kind, found.count) == (kind, count)


def test_none_of_a_gpu_is_refused() -> None:
    with pytest.raises(ValueError, match="asks for 0"):
        parse_instance_type("0xa100")


@given(st.lists(st.floats(min_value=1e9, max_value=4e9), min_size=2, max_size=20))
def test_task_ids_sort_by_age(times: list[float]) -> None:
    ids = [new_task_id(time) for time in sorted(times)]

    assert [i[:11] for i in sorted(ids)] == [i[:11] for i in ids]
    assert all(len(i) == 17 and i[0] == "t" for i in ids)


def test_request_ids_have_one_form_and_do_not_repeat() -> None:
    found = {new_request_id() for _ in range(1000)}

    assert len(found) == 1000
    assert all(is_request_id(text) for text in found)
    assert not is_request_id("flow-" + "u" * 26)


names = st.text(min_size=1, max_size=30)


@given(names, names, names, st.dictionaries(names, st.text(max_size=20), max_size=4))
def test_a_reference_survives_its_text_form(provider: str, profile: str, name: str, extra: dict[str, str]) -> None:
    found = parse_ref(format_ref(provider, profile, TaskRef(name, extra)))

    assert found == (provider, profile, TaskRef(name))
    assert dict(found[2].extra) == extra


@pytest.mark.parametrize("text", ["", "local", "local@x", "@x:1", "local@x:"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="provider@profile:id"):
        parse_ref(text)


def test_every_state_has_its_line_in_the_table() -> None:
    assert set(TRANSITIONS) == LIVE_STATES | FINAL_STATES


@pytest.mark.parametrize("state", sorted(FINAL_STATES - {"lost"}))
def test_a_final_state_never_changes(state: str) -> None:
    assert [new for new in TRANSITIONS if may_become(state, new)] == [state]


def test_lost_may_only_be_corrected_by_an_end() -> None:
    assert TRANSITIONS["lost"] == FINAL_STATES - {"lost"}


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=9))
def test_a_cursor_stands_behind_the_chunk_it_was_given(parts: list[bytes]) -> None:
    cursor, offset = LogCursor(), 0
    for part in parts:
        cursor = cursor.after(LogChunk(1, 0, "stdout", offset, part))
        offset += len(part)

    assert cursor.positions == {(1, 0, "stdout"): Position(offset)}


def test_a_config_pickles_copies_and_cannot_be_changed() -> None:
    config = TaskConfig(command="true", env={"A": "1"}, options={"local": {"x": 1}})

    assert pickle.loads(pickle.dumps(config)) == config
    assert copy.deepcopy(config) == config
    with pytest.raises(TypeError, match="read-only"):
        config.env["B"] = "2"  # type: ignore[index]


def test_a_box_of_secrets_shows_no_value() -> None:
    assert "hunter2" not in repr(SecretBox({"TOKEN": "hunter2"}))
