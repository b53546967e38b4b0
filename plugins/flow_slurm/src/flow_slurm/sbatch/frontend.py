"""The frontend ``sbatch``: ``flow run job.sbatch`` on any provider."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from flow_core import FrontendTask, hookimpl
from flow_core.hookspecs import FrontendHooks
from flow_slurm.sbatch import lines, mapping, request
from flow_slurm.sbatch.script import Script

_BEGINNING = 65536


@final
class SbatchFrontend(FrontendHooks):
    """The entry point ``flow.frontends: sbatch`` names this class."""

    @hookimpl
    def flow_frontend_detect(self, source: str) -> float:
        """Sure of a script with directives, and of what is called so."""
        with Path(source).open("rb") as file:
            text = file.read(_BEGINNING).decode("utf-8", "surrogateescape")
        if not text.startswith("#!"):
            return 0.0
        if any(True for _ in lines.directives(text)):
            return 0.9
        return 0.6 if source.endswith((".sbatch", ".slurm")) else 0.0

    @hookimpl
    def flow_frontend_read(self, source: str, arguments: Sequence[str]) -> Sequence[FrontendTask]:
        """Read a script as sbatch does; ``arguments`` are the script's."""
        script = Script(Path(source).read_bytes(), Path(source).name, tuple(arguments), source)
        return read(script, os.environ)


def read(script: Script, environ: Mapping[str, str], options: Sequence[str] = ()) -> list[FrontendTask]:
    """Return the tasks of a script, with ``options`` as on sbatch's command line. Raises ConfigError."""
    lines.check(script.text)
    return mapping.tasks(script, request.read(script.text, environ, options), environ)
