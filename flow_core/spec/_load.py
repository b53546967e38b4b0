"""Task files: bytes to a document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flow_core.spec._document import Document, Unreadable
from flow_core.spec._report import Wrong, config_error
from flow_core.types import Problem

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_FILE = 1 << 20

_UTF16_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that YAML 1.2 (5.1) does not allow in a stream; JSON has none of them unescaped either, DEL excepted."""


def load(path: Path) -> Document:
    """Return the file as a document; raises ConfigError when it cannot be understood at all."""
    name = str(path)
    try:
        return _parse(_decode(_bytes(path), name), path)
    except Wrong as error:
        raise config_error([Problem("", error.code, error.message, error.hint, file=name)], name) from None


def _parse(document: Document, path: Path) -> Document:
    try:
        document.data = _top(document, _data(document, path))
    except Unreadable as error:
        document.add("", error.index, error)
        raise config_error(document.problems, document.file) from None
    return document


def _data(document: Document, path: Path) -> object:
    if bad := _FORBIDDEN.search(document.text):
        word = "a NUL byte" if bad[0] == "\0" else f"the control character U+{ord(bad[0]):04X}"
        raise Unreadable(bad.start(), "SYNTAX", f"holds {word}", "is this a text file?")
    if not document.text.strip("\ufeff \t\r\n"):
        raise Unreadable(0, "EMPTY", "is empty", "write at least `command: …`")
    from flow_core.spec import _json, _yaml

    if path.suffix.lower() == ".json":
        return _json.read(document)
    if document.text.lstrip("\ufeff \t\r\n").startswith("{") and _json.is_json(document.text):
        return _json.read(document)
    return _yaml.read(document)


def _top(document: Document, data: Any) -> dict[str, object]:
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "empty" if data is None else "a single value"
        index = len(document.text) - len(document.text.lstrip("\ufeff \t\r\n"))
        raise Unreadable(index, "WRONG_TYPE", f"is {kind}, not a mapping of words to values", "write `command: …`")
    return data


def _decode(content: bytes, file: str) -> Document:
    if content.startswith(_UTF16_32):
        raise Wrong("is UTF-16 or UTF-32, not UTF-8", "save it as UTF-8", "NOT_UTF8")
    try:
        return Document(file, content.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except UnicodeDecodeError as error:
        document = Document(file, content[: error.start].decode("utf-8").removeprefix("\ufeff"))
        wrong = Wrong(f"byte 0x{content[error.start]:02x} is not UTF-8", "save the file as UTF-8", "NOT_UTF8")
        document.add("", len(document.text), wrong)
        raise config_error(document.problems, file) from None


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Wrong(f"cannot be read: {reason}", code="NO_FILE") from error
    if len(content) > LARGEST_FILE:
        raise Wrong(f"is larger than {LARGEST_FILE >> 20} MiB", "is this a task?", "TOO_LARGE")
    return content
