"""Frontends: other ways of saying a task (batch scripts, notebooks, job manifests)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from flow_core.hookspecs._markers import hookspec, optional
from flow_core.types import FrontendTask, TaskConfig


class FrontendHooks(Protocol):
    """The hooks of a frontend. ``source`` is a path."""

    @hookspec(firstresult=True)
    def flow_frontend_detect(self, source: str) -> float:
        """Say how sure you are that ``source`` is yours, 0 to 1; reads at most its beginning; 5 s.

        Called by ``flow run FILE``: the surest frontend of at least 0.5 reads it, a tie is an error.

        Example::

            @hookimpl
            def flow_frontend_detect(self, source):
                return 0.9 if source.endswith(".ipynb") else 0.0
        """
        ...

    @hookspec(firstresult=True)
    def flow_frontend_read(self, source: str, arguments: Sequence[str]) -> Sequence[FrontendTask]:
        """Read the tasks of a file, with the positions of what was read; pure; 5 s. Raises ConfigError with problems.

        Example::

            @hookimpl
            def flow_frontend_read(self, source, arguments):
                return [FrontendTask(TaskConfig(command=("sh", source, *arguments)))]
        """
        ...

    @hookspec(firstresult=True)
    def flow_frontend_environment(self, config: TaskConfig, rank: int) -> Mapping[str, str]:
        """Name the variables that the file's body expects on ``rank``; pure; 5 s.

        Example::

            @hookimpl
            def flow_frontend_environment(self, config, rank):
                return {"ACME_RANK": str(rank)}
        """
        optional("flow_frontend_environment")
