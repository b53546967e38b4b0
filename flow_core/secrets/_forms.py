"""The shapes in which a secret turns up in output."""

from __future__ import annotations

from collections.abc import Iterator

SHORTEST = 6
"""Values of fewer bytes are not masked: they would match everywhere."""


def forms(value: bytes) -> frozenset[bytes]:
    """Return all byte strings to mask for ``value``: itself, base64, URL-quoted, JSON-escaped, with CRLF line ends.

    Empty when ``value``, without white space around it, is shorter than :data:`SHORTEST`.
    """
    bare = value.strip()
    if len(bare) < SHORTEST:
        return frozenset()
    crlf = bare.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return frozenset({bare, crlf, *_base64(bare), *_quoted(bare), *_json(bare)})


def _base64(value: bytes) -> Iterator[bytes]:
    """Yield what ``value`` looks like at each of the three places it can have in base64 of something longer.

    Inside, the characters at its ends that also carry bits of the neighbours are left out. Source: RFC 4648.
    """
    from base64 import b64encode

    texts = [b64encode(bytes(before) + value) for before in range(3)]
    inner = [text[-(-before * 8 // 6) : (before + len(value)) * 8 // 6] for before, text in enumerate(texts)]
    for text in (texts[0], *inner):
        yield text
        yield text.translate(bytes.maketrans(b"+/", b"-_"))


def _quoted(value: bytes) -> Iterator[bytes]:
    """Yield the percent-encodings of ``value``, as RFC 3986 and as HTML forms write it."""
    from urllib.parse import quote, quote_plus

    yield quote(value, safe="").encode()
    yield quote(value).encode()
    yield quote_plus(value).encode()


def _json(value: bytes) -> Iterator[bytes]:
    from json import dumps

    text = value.decode("utf-8", "surrogateescape")
    for ascii_only in (True, False):
        yield dumps(text, ensure_ascii=ascii_only)[1:-1].encode("utf-8", "surrogateescape")
