"""Which of the user's files are the task's code: what git would take, without what looks like a key."""

from __future__ import annotations

import heapq
import os
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import TYPE_CHECKING

import attrs

from flow_core.bundle import _git, _keys, _walk, _wildmatch
from flow_core.bundle._progress import Meter
from flow_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_BIGGEST = 5


@attrs.frozen
class Selection:
    """The files of a snapshot, relative to ``root`` with ``/``, sorted; sizes in bytes.

    ``biggest`` names the five largest. ``left_out_secrets`` look like keys and stay here unless an ``include`` pattern
    names them. ``outside_links`` are among ``files``: links to something that the node will not have at that place.
    """

    root: Path
    files: tuple[str, ...]
    total_bytes: int
    biggest: tuple[tuple[str, int], ...] = ()
    left_out_secrets: tuple[str, ...] = ()
    outside_links: tuple[str, ...] = ()


def select(root: Path, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Selection:
    """Return the files below ``root`` that git would track: the tracked ones that exist, and all that is not ignored.

    Inside a repository its whole configuration counts, outside of one every ``.gitignore``. ``include`` and ``exclude``
    are gitignore patterns on top: the first bring files back, the second, which win, take more away. Links stay links;
    ``.git``, sockets and pipes are never taken. Raises ConfigError for a folder that is missing or cannot be read.
    """
    root = Path(os.path.abspath(root))
    if not root.is_dir():
        raise ConfigError(f"the code folder {root} does not exist", "name the folder that holds your code")
    wanted = _wanted(root, include, _wildmatch.parse_lines(exclude))
    sizes, links = _sizes(root, sorted(wanted))
    secrets = {path for path in sizes if _keys.is_key_like(path) and not _keys.names(include, path)}
    files = tuple(path for path in sizes if path not in secrets)
    return Selection(
        root=root,
        files=files,
        total_bytes=sum(sizes[path] for path in files),
        biggest=tuple(heapq.nlargest(_BIGGEST, ((path, sizes[path]) for path in files), key=lambda item: item[1])),
        left_out_secrets=tuple(sorted(secrets)),
        outside_links=tuple(path for path in files if path in links and _leads_outside(root, path)),
    )


def _wanted(root: Path, include: Sequence[str], exclude: tuple[_wildmatch.Pattern, ...]) -> set[str]:
    wanted = set(_listed(root))
    if include:
        brought = _wildmatch.parse_lines(include)
        wanted.update(path for path in _walk.everything(root) if _wildmatch.matches(brought, path))
    return {path for path in wanted if not _wildmatch.matches(exclude, path)} if exclude else wanted


def _listed(root: Path) -> Iterator[str]:
    """Git's own answer where there is one; a repository inside another one answers for itself."""
    found = _git.files(root) if _git.repository(root) else None
    if found is None:
        yield from _walk.files(root)
        return
    for path in found:
        inner = root / path
        if not inner.is_dir() or inner.is_symlink():
            yield path
        elif os.path.lexists(inner / ".git"):
            prefix = path.rstrip("/")
            yield from (f"{prefix}/{below}" for below in _listed(inner))


def _sizes(root: Path, paths: Iterable[str]) -> tuple[dict[str, int], set[str]]:
    """Sizes of what exists as a file or a link, and which are links. What lies behind a link is not below ``root``."""
    sizes: dict[str, int] = {}
    links: set[str] = set()
    real = {"": True}
    meter = Meter()
    for path in paths:
        meter.add(0)
        found = _stat(root, path, real)
        if found is not None and not S_ISDIR(found.st_mode):
            sizes[path] = found.st_size
            if S_ISLNK(found.st_mode):
                links.add(path)
    return sizes, links


def _stat(root: Path, path: str, real: dict[str, bool]) -> os.stat_result | None:
    if not _is_real(root, path.rpartition("/")[0], real):
        return None
    try:
        found = os.lstat(f"{root}/{path}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if S_ISREG(found.st_mode) or S_ISLNK(found.st_mode) else None


def _is_real(root: Path, folder: str, known: dict[str, bool]) -> bool:
    """Whether no part of ``folder`` is a link."""
    if folder not in known:
        above = folder.rpartition("/")[0]
        known[folder] = _is_real(root, above, known) and not os.path.islink(f"{root}/{folder}")
    return known[folder]


def _leads_outside(root: Path, path: str) -> bool:
    target = os.readlink(f"{root}/{path}")
    if os.path.isabs(target):
        return True
    return os.path.normpath(os.path.join(os.path.dirname(path), target)).split("/")[0] == ".."
