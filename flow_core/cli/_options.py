"""Options and arguments that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from flow_core.cli._complete import complete_profile, complete_task
from flow_core.cli._invocation import note_json

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def duration(text: str) -> float:
    """Read ``90s``, ``1h30m`` or a bare number of seconds; the type of an option."""
    from flow_core.types import parse_duration

    return _parsed(parse_duration, text)


def size(text: str) -> int:
    """Read ``512MiB``, ``100GB`` or a bare number of bytes; the type of an option."""
    from flow_core.types import parse_size

    return _parsed(parse_size, text)


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        is_eager=True,
        callback=note_json,
        help="Print JSON: one envelope, or one per line where something is followed.",
    )(command)


def provider_option(command: F) -> F:
    """Add ``--provider``."""
    return click.option(
        "--provider",
        metavar="NAME",
        shell_complete=complete_profile,
        help="Profile or provider; default: the configured one.",
    )(command)


def task_argument(command: F) -> F:
    """Add the argument TASK."""
    return click.argument("task", shell_complete=complete_task)(command)


def tasks_argument(required: bool) -> Callable[[F], F]:
    """Add the argument TASK…"""
    return click.argument(
        "tasks",
        metavar="TASK..." if required else "[TASK]...",
        nargs=-1,
        required=required,
        shell_complete=complete_task,
    )


def node_option(command: F) -> F:
    """Add ``--node``."""
    return click.option(
        "--node", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Rank of the node."
    )(command)
