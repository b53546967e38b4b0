"""Git's index, read without git: the names of the tracked files.

Source: git's index-format documentation (versions 2 to 4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADER, _FIXED = 12, 62  # bytes before the first entry, and of an entry before its path (SHA-1)
_EXTENDED = 0x4000
_GITLINK = 0o160000


def git_folder(top: Path) -> Path:
    """Return the repository's own folder: ``.git``, or where the file ``.git`` points (submodules, worktrees)."""
    place = top / ".git"
    if place.is_file():
        pointer = place.read_text().strip().removeprefix("gitdir:").strip()
        return top / pointer
    return place


def tracked(top: Path) -> Iterator[bytes]:
    """Yield the tracked files of the working tree ``top``; none when its index is of a kind not known here."""
    try:
        data = (git_folder(top) / "index").read_bytes()
    except OSError:
        return
    version = int.from_bytes(data[4:8], "big")
    if data[:4] != b"DIRC" or version not in (2, 3, 4):
        return
    at, path = _HEADER, b""
    for _ in range(int.from_bytes(data[8:12], "big")):
        mode, flags = int.from_bytes(data[at + 24 : at + 28], "big"), int.from_bytes(data[at + 60 : at + 62], "big")
        name = at + _FIXED + (2 if flags & _EXTENDED else 0)
        path, at = _compressed(data, name, path) if version == 4 else _padded(data, at, name)
        if mode & 0o170000 != _GITLINK:
            yield path


def _padded(data: bytes, start: int, name: int) -> tuple[bytes, int]:
    end = data.index(b"\0", name)
    return data[name:end], start + (end - start + 8) // 8 * 8


def _compressed(data: bytes, at: int, before: bytes) -> tuple[bytes, int]:
    """Version 4 says how many bytes of the last path to drop (a variable-length number), then what to add."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = ((value + 1) << 7) | (data[at] & 0x7F)
    end = data.index(b"\0", at + 1)
    return before[: len(before) - value] + data[at + 1 : end], end + 1
