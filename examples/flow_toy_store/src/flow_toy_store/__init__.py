"""flow_toy_store: a result store that keeps objects as files of one folder, which nodes may see too."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import final
from urllib.parse import quote, unquote

import attrs

from flow_core import CapabilityError, ConflictError, NotFoundError, ResultInfo, Ticket, TransientError, hookimpl
from flow_core.hookspecs import ResultHooks

_SUFFIX = ".object"
_PIECE = 1 << 20


@attrs.frozen
class ToyStoreSettings:
    """What a result store of the settings may set."""

    root: Path = attrs.field(default=Path("~/.flow-toy-store"), metadata={"help": "Folder that holds the objects."})


@final
class ToyStore(ResultHooks):
    """The entry point ``flow.result_stores: toy-store`` names this class."""

    Settings = ToyStoreSettings

    def __init__(self, settings: ToyStoreSettings) -> None:
        self._root = settings.root.expanduser()

    def _path(self, key: str) -> Path:
        return self._root / (quote(key, safe="") + _SUFFIX)  # one flat folder, so that no key leads out of it

    @hookimpl
    def flow_result_stat(self, key: str) -> ResultInfo:
        try:
            found = self._path(key).stat()
        except FileNotFoundError:
            raise NotFoundError(f"the store has no {key}") from None
        return ResultInfo(key, found.st_size, modified_at=found.st_mtime)

    @hookimpl
    def flow_result_list(self, prefix: str) -> Iterator[ResultInfo]:
        keys = (unquote(path.name.removesuffix(_SUFFIX)) for path in self._root.glob(f"*{_SUFFIX}"))
        return (self.flow_result_stat(key) for key in keys if key.startswith(prefix))

    @hookimpl
    def flow_result_get(self, key: str, offset: int) -> Iterator[bytes]:
        self.flow_result_stat(key)
        with self._path(key).open("rb") as file:
            file.seek(offset)
            while data := file.read(_PIECE):
                yield data

    @hookimpl
    def flow_result_put(self, key: str, data: Iterator[bytes], sha256: str) -> ResultInfo:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._root, prefix=".") as file:
            digest = hashlib.sha256()
            for piece in data:
                digest.update(piece)
                file.write(piece)
            file.flush()
            if digest.hexdigest() != sha256:
                raise TransientError(f"{key} arrived damaged: its content does not have the sum {sha256}")
            self._keep(file.name, key, sha256)
        return self.flow_result_stat(key)

    def _keep(self, written: str, key: str, sha256: str) -> None:
        try:
            os.link(written, self._path(key))  # fails when somebody was first, whatever they are doing now
        except FileExistsError:
            if hashlib.sha256(self._path(key).read_bytes()).hexdigest() != sha256:
                raise ConflictError(f"the store has other content under {key}") from None

    @hookimpl
    def flow_result_delete(self, key: str) -> bool:
        try:
            self._path(key).unlink()
        except FileNotFoundError:
            return False
        return True

    @hookimpl
    def flow_result_ticket(self, key: str, method: str, size: int | None, expires_in: float) -> Ticket:
        if key.endswith("/"):
            raise CapabilityError("the toy store gives leave for one object at a time")
        if method == "GET":
            self.flow_result_stat(key)
        return Ticket("PATH", str(self._path(key)), max_bytes=size)
