"""Tasks that a frontend reads from the file that the command line names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from flow_core.client import Flow, Plan
from flow_core.errors import ConfigError
from flow_core.types import FrontendTask, Problem


def frontend_tasks(
    flow: Flow, words: Sequence[str], frontend: str | None, given: Mapping[str, Any]
) -> list[FrontendTask] | None:
    """Return the tasks of the file ``words[0]`` with the flags laid over them; None when no frontend knows the file.

    What follows the file are its arguments.
    """
    if frontend is None and not os.path.isfile(words[0]):
        return None
    name = frontend or flow.frontend_of(words[0])
    if name is None:
        return None
    return [_laid_over(flow, task, given) for task in flow.read(words[0], words[1:], name)]


def plan(flow: Flow, task: FrontendTask, given: Mapping[str, Any], priced: bool) -> Plan:
    """Check a task that was read; each problem stands at its line or its flag."""
    try:
        found = flow.plan(task, priced)
    except ConfigError as error:
        raise ConfigError(error.message, error.hint, error.details, _flagged(error.problems, task, given)) from error
    return attrs.evolve(found, warnings=_flagged(found.warnings, task, given))


def _laid_over(flow: Flow, task: FrontendTask, given: Mapping[str, Any]) -> FrontendTask:
    from flow_core.spec import merge, read_flags, read_mapping, to_mapping

    problems: list[Problem] = []
    asked, flag_of = read_flags(given, problems=problems)
    positions = {path: place for path, place in task.positions.items() if path not in flag_of}
    config = read_mapping(
        merge(to_mapping(task.config), asked),
        positions=positions,
        file=task.source,
        flags=flag_of,
        providers=sorted({*flow.provider_names(), *task.config.options}),
        problems=problems,
    )
    return attrs.evolve(task, config=config, positions=positions)


def _flagged(problems: Sequence[Problem], task: FrontendTask, given: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return the problems with the flag that those without a line come from."""
    from flow_core.spec import locate, read_flags

    ignored: list[Problem] = []
    _, flag_of = read_flags(given, problems=ignored)
    open_ = [attrs.evolve(p, file=None) if p.line is None and p.file == task.source else p for p in problems]
    return locate(open_, positions=task.positions, file=task.source, flags=flag_of)
