"""Masking: what is masked, that chunking does not matter, and that nothing else changes."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, strategies as st

from flow_core.secrets import Redactor, Secret, redact_event

_letters = st.text(alphabet="ab\nA", min_size=6, max_size=14)
_values = st.lists(_letters | st.text(min_size=6, max_size=20), min_size=1, max_size=8)


def _redactor(*values: str) -> Redactor:
    return Redactor(Secret(value, f"s{number}") for number, value in enumerate(values))


def _streamed(redactor: Redactor, chunks: list[bytes]) -> bytes:
    stream = redactor.stream()
    return b"".join([*(stream.feed(chunk) for chunk in chunks), stream.flush()])


@st.composite
def _output(draw: st.DrawFn, values: list[str]) -> list[bytes]:
    """Output with whole and partial values in it, in pieces."""
    raw = [value.encode("utf-8", "surrogatepass") for value in values]
    part = st.sampled_from(raw).flatmap(lambda v: st.integers(0, len(v)).map(lambda n: v[:n]))
    whole = b"".join(draw(st.lists(st.sampled_from(raw) | part | st.binary(max_size=4), max_size=12)))
    cuts = sorted(draw(st.sets(st.integers(0, len(whole)))))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


@given(st.data(), _values)
def test_any_chunking_gives_what_masking_the_whole_gives(data, values):
    chunks = data.draw(_output(values))
    redactor = _redactor(*values)
    assert _streamed(redactor, chunks) == redactor.bytes(b"".join(chunks))


@given(st.data(), _values.filter(lambda values: not any("*" in value for value in values)))
def test_no_value_survives(data, values):
    shown = _streamed(_redactor(*values), data.draw(_output(values)))
    bare = [value.strip().encode("utf-8", "surrogateescape") for value in values]
    assert not any(len(value) >= 6 and value in shown for value in bare)


_FOREIGN = bytes([*range(0x20), *range(0x7F, 0x100), 0x20])  # in no spelling of a value of letters


@given(
    st.lists(st.lists(st.sampled_from(_FOREIGN)).map(bytes), max_size=10),
    st.lists(st.text("xyz", min_size=6), max_size=3),
)
def test_bytes_without_values_come_through_unchanged(chunks, values):
    assert _streamed(_redactor(*values), chunks) == b"".join(chunks)


@given(
    st.text(min_size=6, max_size=30).filter(lambda v: len(v.encode().strip()) >= 6),
    st.binary(max_size=4),
    st.binary(max_size=4),
)
def test_base64_of_a_value_is_masked_wherever_it_lies_in_what_was_encoded(value, before, after):
    raw = value.encode().strip()
    encoded = base64.b64encode(before + raw + after)
    assert b"***" in _redactor(value).bytes(b"header " + encoded)


@pytest.mark.parametrize(
    "form",
    [
        lambda v: base64.b64encode(v.encode()).decode(),
        lambda v: base64.urlsafe_b64encode(v.encode()).decode(),
        lambda v: quote(v),
        lambda v: quote(v, safe=""),
        quote_plus,
        lambda v: json.dumps(v)[1:-1],
        lambda v: v.replace("\n", "\r\n"),
    ],
)
def test_other_spellings_of_a_value_are_masked(form):
    value = 'p/w+ "né\nline?>'
    assert _redactor(value).text(f"a={form(value)};").startswith("a=***")


def test_overlapping_values_become_one_mask():
    assert _redactor("abcdefgh", "efghijkl").bytes(b"<abcdefghijkl>") == b"<***>"


def test_of_a_value_and_a_longer_one_that_begins_with_it_the_longer_is_masked():
    assert _redactor("secret", "secret-and-more").bytes(b"secret-and-more secret-and") == b"*** ***-and"


def test_a_value_that_repeats_for_ever_is_masked_once_and_held_back_in_bounded_space():
    stream = _redactor("000000").stream()
    assert b"".join(stream.feed(b"0" * 1000) for _ in range(100)) + stream.flush() == b"***"


def test_only_the_beginning_of_a_value_is_held_back():
    stream = _redactor("tokenvalue").stream()
    assert stream.feed(b"line\nthe tok") == b"line\nthe "
    assert stream.feed(b"yo") == b"tokyo"
    assert stream.feed(b"to") == b""
    assert stream.flush() == b"to"


def test_a_value_over_many_lines_is_masked_across_pieces():
    key = "-----BEGIN KEY-----\nabc\ndef\n-----END KEY-----\n"
    assert _streamed(_redactor(key), [line.encode() for line in key.splitlines(keepends=True)]) == b"***\n"


def test_short_values_are_named_and_not_masked():
    redactor = _redactor("12345", "123456")
    assert redactor.unmasked == ("s0",)
    assert redactor.bytes(b"12345") == b"12345"


def test_without_secrets_the_very_bytes_come_back():
    data = b"x" * 100
    redactor = Redactor([])
    assert not redactor
    assert redactor.stream().feed(data) is data
    assert redactor.bytes(data) is data


def test_text_that_is_not_valid_unicode_is_masked_all_the_same():
    assert _redactor("tokenvalue").text("\udcff tokenvalue") == "\udcff ***"


def test_the_log_processor_masks_every_text_of_an_event():
    event = {
        "event": "got tokenvalue",
        "deep": {"list": ["tokenvalue", 1, None]},
        "raw": b"tokenvalue",
        "error": KeyError("tokenvalue"),
    }
    masked = redact_event(_redactor("tokenvalue"))(None, "info", event)
    assert "tokenvalue" not in repr(masked)
    assert masked["deep"]["list"][1:] == [1, None]
