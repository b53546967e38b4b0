"""Files of a node, for providers whose nodes cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from flow_core.hookspecs._markers import hookspec
from flow_core.types import TaskRef


class FileHooks(Protocol):
    """Only where ``flow_node_access`` gives none."""

    @hookspec(firstresult=True)
    def flow_files_get(self, ref: TaskRef, rank: int, path: str) -> Iterator[bytes]:
        """Yield a file's bytes. Raises NotFoundError.

        Example::

            @hookimpl
            def flow_files_get(self, ref, rank, path):
                yield from self._api.download(ref.id, rank, path)
        """
        ...

    @hookspec(firstresult=True)
    def flow_files_put(self, ref: TaskRef, rank: int, path: str, mode: int, data: Iterator[bytes]) -> int:
        """Write a file by rename and return its size in bytes.

        Example::

            @hookimpl
            def flow_files_put(self, ref, rank, path, mode, data):
                return self._api.upload(ref.id, rank, path, mode, data)
        """
        ...
