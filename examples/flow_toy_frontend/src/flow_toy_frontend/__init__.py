"""flow_toy_frontend: shell scripts whose ``#FLOW`` lines say what they need, in the words of a task file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

import yaml

from flow_core import ConfigError, FrontendTask, Problem, TaskConfig, hookimpl
from flow_core.hookspecs import FrontendHooks
from flow_core.spec import read_mapping

_MARK = "#FLOW"
_BLANK = " " * len(_MARK)
_LINE = re.compile(rb"^#FLOW[ \t]", re.MULTILINE)
_BEGINNING = 8192
_COMMAND = ("sh", "-c", 'exec sh "$FLOW_TASK_DIR/files/$0" "$@"')  # the script rides along as a file


@final
class ScriptFrontend(FrontendHooks):
    """The entry point ``flow.frontends: toy-script`` names this class."""

    @hookimpl
    def flow_frontend_detect(self, source: str) -> float:
        with Path(source).open("rb") as file:
            return 0.9 if _LINE.search(file.read(_BEGINNING)) else 0.0

    @hookimpl
    def flow_frontend_read(self, source: str, arguments: Sequence[str]) -> Sequence[FrontendTask]:
        script = Path(source).read_bytes()
        asked, positions = _asked(script.decode(errors="replace"))
        command = [*_COMMAND, Path(source).name, *arguments]
        config = read_mapping({**asked, "command": command}, positions=positions, file=source)
        return [FrontendTask(config, positions=positions, files={Path(source).name: script})]

    @hookimpl
    def flow_frontend_environment(self, config: TaskConfig, rank: int) -> Mapping[str, str]:
        return {"TOY_RANK": str(rank), "TOY_NODES": str(config.num_instances)}


def _asked(text: str) -> tuple[dict[str, object], dict[str, tuple[int, int]]]:
    """Return what the marked lines ask for, and where each word stands; all else is blanked, so that lines stay."""
    lines = [line.replace(_MARK, _BLANK, 1) if line.startswith(f"{_MARK} ") else "" for line in text.splitlines()]
    try:
        node = yaml.compose("\n".join(lines), yaml.SafeLoader)
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"the {_MARK} lines are not `word: value`")
        places = {str(key.value): (key.start_mark.line + 1, key.start_mark.column + 1) for key, _ in node.value}
        return yaml.SafeLoader("").construct_document(node), places
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        problem = Problem("", "SYNTAX", f"{error.problem}", f"write `{_MARK} word: value`", line=line)
        raise ConfigError(f"the {_MARK} lines cannot be read", problems=[problem]) from error
