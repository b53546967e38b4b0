"""Log streaming, for providers whose nodes cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from flow_core.hookspecs._markers import hookspec
from flow_core.types import LogChunk, LogCursor, TaskRef


class LogHooks(Protocol):
    """Only where ``flow_node_access`` gives none: core reads logs from the task folder otherwise."""

    @hookspec(firstresult=True)
    def flow_logs_read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        """Yield the log from ``cursor`` on, as bytes; with ``follow`` end only when the task is final.

        Resumes exactly at the cursor where ``facts.log_bytes`` is ``exact``. Core closes the iterator when it has had
        enough; yield at least an empty chunk each 30 s so that it can. TransientError in the stream: core resumes.

        Example::

            @hookimpl
            def flow_logs_read(self, ref, cursor, follow):
                start = cursor.positions.get((1, 0, "both"), Position(0)).offset
                for offset, data in self._api.log(ref.id, start, follow):
                    yield LogChunk(1, 0, "both", offset, data)
        """
        ...
