"""The result store ``folder``: objects as files of one folder. It comes with Flow."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256 as new_sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, final
from urllib.parse import quote, unquote

import attrs

from flow_core.errors import ConfigError, ConflictError, NotFoundError, StateError, TransientError
from flow_core.hookspecs import ResultHooks, hookimpl
from flow_core.settings import make_folder, paths
from flow_core.types import ResultInfo, Ticket

if TYPE_CHECKING:
    from typing import IO

_PIECE = 1 << 20
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


@attrs.frozen
class FolderSettings:
    """What a folder among the ``result_stores`` may set."""

    root: Path | None = attrs.field(
        default=None, metadata={"help": "Folder that holds the objects; default: in Flow's own."}
    )


@final
class FolderStore(ResultHooks):
    """Keeps the object ``a/b`` as the file ``a+/b``: so an object may be called like the beginning of another one's key.

    Names are quoted as in a URL, and ``+`` and a leading dot too: no key leads out of the folder.
    """

    Settings = FolderSettings

    def __init__(self, settings: FolderSettings) -> None:
        self._root = (settings.root or paths().state_dir / "results").expanduser().absolute()

    @hookimpl
    def flow_result_stat(self, key: str) -> ResultInfo:
        with _told(key):
            found = self._path(key).stat()
        return ResultInfo(key, found.st_size, modified_at=found.st_mtime)

    @hookimpl
    def flow_result_list(self, prefix: str) -> Iterator[ResultInfo]:
        above, _, begin = prefix.rpartition("/")
        folder = self._folder(above.split("/")) if above or prefix.startswith("/") else self._root
        return _below(folder, f"{above}/" if "/" in prefix else "", begin)

    @hookimpl
    def flow_result_get(self, key: str, offset: int) -> Iterator[bytes]:
        with _told(key):
            file = self._path(key).open("rb")
        file.seek(offset)
        return _pieces(file)

    @hookimpl
    def flow_result_put(self, key: str, data: Iterator[bytes], sha256: str) -> ResultInfo:
        path, size, digest = self._path(key), 0, new_sha256()
        with _told(key):
            mode = self._make(path.parent)
            with NamedTemporaryFile(dir=path.parent, prefix=".") as file:
                os.fchmod(file.fileno(), mode & 0o666)
                for piece in data:
                    digest.update(piece)
                    size += file.write(piece)
                file.flush()
                if digest.hexdigest() != sha256:
                    raise TransientError(
                        f"{key} arrived damaged: its content does not have the sum {sha256}", "try again"
                    )
                _keep(file.name, path, key, sha256)
        return ResultInfo(key, size, sha256)

    @hookimpl
    def flow_result_delete(self, key: str) -> bool:
        try:
            self._path(key).unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    @hookimpl
    def flow_result_ticket(self, key: str, method: str, size: int | None, expires_in: float) -> Ticket:  # noqa: ARG002
        if key.endswith("/"):
            folder = self._folder(key.split("/")[:-1])
            with _told(key):
                self._make(folder)
            return Ticket("PATH", str(folder))
        if method == "GET":
            self.flow_result_stat(key)
        else:
            with _told(key):
                self._make(self._path(key).parent)
        return Ticket("PATH", str(self._path(key)), max_bytes=size)

    def _make(self, folder: Path) -> int:
        """Make a folder for objects and return its mode: what may look into the root may look into all of it."""
        if not self._root.is_dir():
            make_folder(self._root)
        mode = self._root.stat().st_mode & 0o777
        for path in (*reversed(folder.relative_to(self._root).parents[:-1]), folder.relative_to(self._root)):
            with suppress(FileExistsError):
                (self._root / path).mkdir(mode=mode)
        return mode

    def _path(self, key: str) -> Path:
        *above, last = key.split("/")
        if not last:
            raise ConfigError(f"{key!r} is no name of an object", "a key ends with a name, not with a slash")
        return self._folder(above) / _quoted(last)

    def _folder(self, parts: list[str]) -> Path:
        return self._root.joinpath(*(f"{_quoted(part)}+" for part in parts))


def _quoted(name: str) -> str:
    text = quote(name, safe=" ")
    return f"%2E{text[1:]}" if text.startswith(".") else text


def _below(folder: Path, above: str, begin: str) -> Iterator[ResultInfo]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        is_folder = entry.name.endswith("+")
        name = unquote(entry.name.removesuffix("+")) + ("/" if is_folder else "")
        if entry.name.startswith(".") or not name.startswith(begin):
            continue
        if is_folder:
            yield from _below(folder / entry.name, above + name, "")
            continue
        with suppress(FileNotFoundError):  # deleted meanwhile
            found = entry.stat()
            yield ResultInfo(above + name, found.st_size, modified_at=found.st_mtime)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while data := file.read(_PIECE):
            yield data


def _keep(written: str, path: Path, key: str, sha256: str) -> None:
    """Give what was written its name, unless another has it."""
    try:
        _link(written, path)
    except FileExistsError:
        digest = new_sha256()
        with path.open("rb") as file:
            for piece in _pieces(file):
                digest.update(piece)
        if digest.hexdigest() != sha256:
            raise ConflictError(f"the store has other content under {key}", "delete it first") from None
        os.utime(path)  # it is wanted again: younger than what nobody wants


def _link(written: str, path: Path) -> None:
    try:
        os.link(written, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(path) from None
        os.rename(written, path)
        Path(written).touch()  # for whoever wrote it to remove


@contextmanager
def _told(key: str) -> Iterator[None]:
    """Say what the file system means for an object."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"the store has no {key}", "see what a task kept with: flow artifacts list TASK") from None
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        message = f"the store's folder cannot be used for {key}: {error.strerror or error}"
        raise StateError(message, "check the folder and its free space") from error
