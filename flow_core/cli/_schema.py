"""The machine interface described for machines: JSON Schemas (2020-12) of answers, the tree of commands, exit codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from flow_core.cli._answers import ANSWERS, ERROR
from flow_core.cli._group import walk

_ENVELOPE = "flow.{}/1"
_NOTHING: Mapping[str, object] = {"type": "null"}


def parts(ctx: click.Context, names: Sequence[str]) -> dict[str, object]:
    """Return the parts called ``names``; ``ctx`` is that of the command ``flow``."""
    makers: Mapping[str, Callable[[], object]] = {
        "task": _task,
        "answers": answers,
        "commands": lambda: tree(ctx),
        "exit-codes": exit_codes,
    }
    return {name: makers[name]() for name in names}


def _task() -> dict[str, object]:
    from flow_core.spec import json_schema

    return json_schema()


def answers() -> dict[str, object]:
    """Return the schema of every envelope by its name; of ``flow`` and of groups there are errors alone."""
    groups = dict.fromkeys(("flow", *(name.partition(".")[0] for name in ANSWERS if "." in name)), _NOTHING)
    shapes = {**groups, **ANSWERS}
    return {_ENVELOPE.format(name): _envelope(_ENVELOPE.format(name), data) for name, data in shapes.items()}


def _envelope(name: str, data: Mapping[str, object]) -> dict[str, object]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "type": "object",
        "properties": {"schema": {"const": name}, "data": {"anyOf": [data, {"type": "null"}]}, "error": ERROR},
        "required": ["schema", "data", "error"],
        "additionalProperties": False,
    }


def exit_codes() -> dict[str, str]:
    """Return code -> what it means; any other code is the task's own."""
    from flow_core.cli._failure import INTERNAL_EXIT
    from flow_core.errors import EXIT_CODES

    codes = {str(code): name for code, name in EXIT_CODES.items()}
    codes[str(INTERNAL_EXIT)] += " or INTERNAL"
    return {**codes, "130": "INTERRUPTED", "141": "PIPE_CLOSED"}


def tree(ctx: click.Context) -> dict[str, object]:
    """Return every core command with its options and arguments; those of plugins by name and distribution."""
    from flow_core.cli._catalog import COMMANDS
    from flow_core.cli._group import plugin_commands

    group = ctx.command
    found = (
        {name: _described(group.get_command(ctx, name), ctx) for name in COMMANDS}
        if isinstance(group, click.Group)
        else {}
    )
    return {**found, **{p.name: {"distribution": p.distribution, "help": p.summary} for p in plugin_commands()}}


def _described(command: click.Command | None, ctx: click.Context) -> dict[str, Any]:
    if isinstance(command, click.Group):
        inner = {name: _described(found, ctx) for name, found in walk(command, ctx)}
        return {"help": command.get_short_help_str(120), "commands": inner}
    if command is None:
        return {}
    shown = [_parameter(parameter) for parameter in command.params]
    return {"help": command.get_short_help_str(120), "parameters": shown}


def _parameter(parameter: click.Parameter) -> dict[str, object]:
    described: dict[str, object] = {
        "name": parameter.name,
        "kind": parameter.param_type_name,
        "required": parameter.required,
        "multiple": parameter.nargs == -1 or getattr(parameter, "multiple", False),
        "metavar": parameter.metavar,
    }
    if isinstance(parameter, click.Option):
        described |= {
            "flags": [*parameter.opts, *parameter.secondary_opts],
            "flag": parameter.is_flag,
            "help": parameter.help,
        }
    if isinstance(parameter.type, click.Choice):
        described["choices"] = list(parameter.type.choices)
    return described
