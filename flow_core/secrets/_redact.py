"""Masks the values of secrets in text and in streams of bytes."""

from __future__ import annotations

import builtins
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from flow_core.secrets._forms import forms
from flow_core.secrets._secret import MASK, Secret

_MASK = MASK.encode()
_WINDOW = 8  # bytes on each side of an anchor that the scan looks at before all of a value is compared
_FEW = 12  # up to here one search per pattern is faster than the regex; measured
_FREQUENCY = {
    **dict.fromkeys(b" \n", 12.0),
    **dict.fromkeys(b"etaoinsrhl", 8.0),
    **dict.fromkeys(b"0123456789", 5.0),
    **dict.fromkeys(b"dcumfpgwybvkxjqz", 3.0),
    **dict.fromkeys(b".,:;/_-=\"'()[]", 2.0),
    **dict.fromkeys(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1.0),
}


class Redactor:
    """Replaces the values of ``secrets`` by ``***``, also where they are base64, URL-quoted or JSON-escaped.

    Occurrences that overlap become one mask. ``unmasked`` names the secrets that are too short (under 6 bytes) to be
    masked. Base64 that is wrapped into lines is not recognised. Truth value: whether there is anything to mask.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        shapes = [(secret.name, forms(secret.reveal().encode("utf-8", "surrogateescape"))) for secret in secrets]
        self.unmasked = tuple(name for name, found in shapes if not found)
        self._scan = _Scan(frozenset().union(*(found for _, found in shapes)))

    def __bool__(self) -> bool:
        return bool(self._scan)

    def text(self, text: str) -> str:
        """Return ``text`` with the values masked."""
        if not self._scan:
            return text
        return self.bytes(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def bytes(self, data: builtins.bytes) -> builtins.bytes:
        """Return ``data`` with the values masked."""
        spans = self._scan.spans(data)
        return _masked(data, spans, 0, len(data)) if spans else data

    def stream(self) -> RedactedStream:
        """Return a filter for bytes that arrive in pieces; one for each stream."""
        return RedactedStream(self._scan)


class RedactedStream:
    """Masks one stream of bytes: whatever the pieces, the output is that of masking the whole.

    Holds back only the end of a piece that may be the beginning of a value.
    """

    def __init__(self, scan: _Scan) -> None:
        self._scan = scan
        self._tail = b""
        self._covered = 0  # bytes of the tail under a mask that was written already

    def feed(self, data: bytes) -> bytes:
        """Take the next piece and return what is certain by now."""
        if not (self._scan and data):
            return data
        whole = self._tail + data if self._tail else data
        return self._emit(whole, self._scan.open_at(whole))

    def flush(self) -> bytes:
        """Return what was held back: the stream has ended."""
        return self._emit(self._tail, len(self._tail))

    def _emit(self, data: bytes, end: int) -> bytes:
        spans, done = _joined(self._scan.spans(data), self._covered)
        self._tail = data[end:]
        self._covered = max([done, *(stop for start, stop in spans if start < end)]) - end
        return _masked(data, [span for span in spans if span[0] < end], done, end)


def _joined(spans: list[tuple[int, int]], covered: int) -> tuple[list[tuple[int, int]], int]:
    """Return the spans that begin behind the first ``covered`` bytes, and how far those and what overlaps reach."""
    while spans and spans[0][0] < covered:
        covered = max(covered, spans.pop(0)[1])
    return spans, max(covered, 0)


def _masked(data: bytes, spans: Sequence[tuple[int, int]], begin: int, end: int) -> bytes:
    parts = []
    for start, stop in spans:
        parts += [data[begin:start], _MASK]
        begin = stop
    return b"".join([*parts, data[begin:end]])


class _Scan:
    """Finds byte patterns.

    A few are searched for one after the other. More are looked for by a rare byte of each (its anchor), few bytes
    serving all: a regex that begins with a small set of rare bytes passes over a log about 10 times faster than an
    alternation of the patterns.
    """

    def __init__(self, patterns: frozenset[bytes]) -> None:
        self._patterns = patterns
        self._anchored = _anchored(patterns)
        self._regex = re.compile(b"|".join(_alternative(*item) for item in sorted(self._anchored.items())), re.DOTALL)
        self._open: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
        for pattern in patterns:
            for size, last in enumerate(pattern[:-1], 1):
                self._open[last].append((size, pattern))
        for entries in self._open.values():
            entries.sort(reverse=True)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Return the (start, end) that patterns cover, in order, those that overlap joined."""
        if not self._patterns:
            return []
        merged: list[tuple[int, int]] = []
        for start, end in sorted(self._found(data)):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def open_at(self, data: bytes) -> int:
        """Return where the longest end of ``data`` begins that a pattern begins with; its length when there is none."""
        for size, pattern in self._open.get(data[-1], ()):
            if data.endswith(pattern[:size]):
                return len(data) - size
        return len(data)

    def _found(self, data: bytes) -> Iterator[tuple[int, int]]:
        return self._found_each(data) if len(self._patterns) <= _FEW else self._found_anchored(data)

    def _found_each(self, data: bytes) -> Iterator[tuple[int, int]]:
        for pattern in self._patterns:
            start = data.find(pattern)
            while start >= 0:
                yield start, start + len(pattern)
                start = data.find(pattern, start + 1)

    def _found_anchored(self, data: bytes) -> Iterator[tuple[int, int]]:
        for hit in self._regex.finditer(data):
            for offset, pattern in self._anchored[data[hit.start()]]:
                start = hit.start() - offset
                if start >= 0 and data.startswith(pattern, start):
                    yield start, start + len(pattern)


def _anchored(patterns: frozenset[bytes]) -> dict[int, list[tuple[int, bytes]]]:
    """Return anchor byte -> (its offset, pattern): repeatedly the byte that is rarest for what it serves."""
    found: dict[int, list[tuple[int, bytes]]] = {}
    left = set(patterns)
    while left:
        counts: dict[int, int] = defaultdict(int)
        for pattern in left:
            for byte in set(pattern):
                counts[byte] += 1
        best = min(sorted(counts), key=lambda byte: _FREQUENCY.get(byte, 0.5) / counts[byte])
        served = {pattern for pattern in left if best in pattern}
        found[best] = [(pattern.index(best), pattern) for pattern in sorted(served)]
        left -= served
    return found


def _alternative(anchor: int, patterns: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the regex of ``anchor`` with, around it, what one of ``patterns`` has there."""
    around = {
        b"(?<=%b)(?=%b)"
        % (re.escape(pattern[max(0, at + 1 - _WINDOW) : at + 1]), re.escape(pattern[at + 1 : at + 1 + _WINDOW]))
        for at, pattern in patterns
    }
    return re.escape(bytes([anchor])) + b"(?:" + b"|".join(sorted(around)) + b")"
