"""The ignore rules without git: for folders in no repository, and machines where git is missing."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flow_core.bundle import _git, _index, _wildmatch
from flow_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Rules(NamedTuple):
    """One ignore file's patterns; ``depth`` is the length of its folder's path, slash included."""

    depth: int
    patterns: tuple[_wildmatch.Pattern, ...]


class _Tree(NamedTuple):
    """A working tree; paths are bytes relative to ``top``. Git knows the files ``tracked``, in ``folders``."""

    top: bytes
    tracked: frozenset[bytes]
    folders: frozenset[bytes]


def files(root: Path) -> Iterator[str]:
    """Yield the files below ``root`` that no rule ignores, and in a repository those that are tracked all the same."""
    top = _git.repository(root)
    tree = _tree(top or root, tracked=top is not None)
    start = os.fsencode(root.relative_to(top or root)).removeprefix(b".")
    rules = [_Rules(0, patterns) for patterns in (_repository_rules(top) if top else ())]
    ignored = False
    for folder in _way_down(start):
        ignored = ignored or (folder != b"" and _ignored(rules, folder, True))
        rules = [*rules, _read(tree, folder)] if folder != start else rules
    prefix = len(start) + 1 if start else 0
    yield from (os.fsdecode(path[prefix:]) for path in _below(tree, start, rules, ignored))


def everything(root: Path) -> Iterator[str]:
    """Yield every file and link below ``root`` but git's own."""
    for path in _below(_Tree(os.fsencode(root), frozenset(), frozenset()), b"", None, False):
        yield os.fsdecode(path)


def _tree(top: Path, tracked: bool) -> _Tree:
    known = frozenset(_index.tracked(top)) if tracked else frozenset()
    around = {path[:at] for path in known for at in range(len(path)) if path[at : at + 1] == b"/"}
    return _Tree(os.fsencode(top), known, frozenset(around))


def _way_down(folder: bytes) -> Iterator[bytes]:
    parts = folder.split(b"/") if folder else []
    yield from (b"/".join(parts[:depth]) for depth in range(len(parts) + 1))


def _below(tree: _Tree, folder: bytes, rules: list[_Rules] | None, ignored: bool) -> Iterator[bytes]:
    """Yield what is taken of ``folder``; ``rules`` None takes all. An ignored folder gives what is tracked in it."""
    own = None if rules is None else [*rules, _read(tree, folder)]
    for entry in _entries(tree, folder):
        path = folder + b"/" + entry.name if folder else entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        out = ignored or (own is not None and _ignored(own, path, is_folder))
        if is_folder:
            if not out or path in tree.folders:
                yield from _inner(tree, path, own, out)
        elif not out or path in tree.tracked:
            yield path


def _inner(tree: _Tree, path: bytes, rules: list[_Rules] | None, ignored: bool) -> Iterator[bytes]:
    inside = os.path.join(tree.top, path)
    if rules is not None and os.path.lexists(inside + b"/.git"):
        yield from (path + b"/" + os.fsencode(found) for found in files(Path(os.fsdecode(inside))))
    else:
        yield from _below(tree, path, rules, ignored)


def _entries(tree: _Tree, folder: bytes) -> list[os.DirEntry[bytes]]:
    place = os.path.join(tree.top, folder) if folder else tree.top
    try:
        with os.scandir(place) as found:
            return sorted((entry for entry in found if entry.name != b".git"), key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        name = os.fsdecode(place)
        raise ConfigError(
            f"cannot read the folder {name}: {error.strerror}", "mend its permissions, or ignore it"
        ) from error


def _ignored(rules: list[_Rules], path: bytes, is_folder: bool) -> bool:
    for rule in reversed(rules):
        said = _wildmatch.verdict(rule.patterns, path[rule.depth :], is_folder)
        if said is not None:
            return said
    return False


def _read(tree: _Tree, folder: bytes) -> _Rules:
    place = os.path.join(tree.top, folder, b".gitignore")
    return _Rules(len(folder) + 1 if folder else 0, _wildmatch.parse(_content(Path(os.fsdecode(place)))))


def _content(path: Path) -> bytes:
    """The bytes of an ignore file; git reads none through a link inside the tree."""
    try:
        return b"" if path.is_symlink() else path.read_bytes()
    except OSError:
        return b""


def _repository_rules(top: Path) -> list[tuple[_wildmatch.Pattern, ...]]:
    """The rules outside the tree, weakest first: the user's own file, then the repository's ``info/exclude``."""
    inner = _index.git_folder(top)
    sources = [_user_excludes(top, inner), inner / "info" / "exclude"]
    return [_wildmatch.parse(source.read_bytes()) for source in sources if source.is_file()]


def _user_excludes(top: Path, inner: Path) -> Path:
    home = Path(os.environ.get("HOME", "~")).expanduser()
    xdg = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "git"
    named = [_excludes_setting(path) for path in (inner / "config", home / ".gitconfig", xdg / "config")]
    chosen = next((name for name in named if name), None)
    return xdg / "ignore" if chosen is None else top / os.path.expanduser(chosen)


def _excludes_setting(path: Path) -> str | None:
    try:
        text = path.read_text(errors="surrogateescape")
    except OSError:
        return None
    sections = re.split(r"^\s*\[([^\]]*)\]", text, flags=re.MULTILINE)
    core = "\n".join(
        body for name, body in zip(sections[1::2], sections[2::2], strict=True) if name.strip().lower() == "core"
    )
    found = re.findall(r"^\s*excludesfile\s*=\s*\"?([^\"\n]*?)\"?\s*$", core, re.IGNORECASE | re.MULTILINE)
    return found[-1] if found else None
