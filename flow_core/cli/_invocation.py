"""What the main program knows of one command line, beside what click parsed."""

from __future__ import annotations

from collections.abc import Sequence

import click


class TaskStatus(int):
    """An exit status that is a task's own, not Flow's."""


class Invocation:
    """``arguments`` as typed; ``json`` and ``command`` are filled as soon as the command line says so."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = arguments
        self.json = False
        self.command = ""

    @property
    def wants_json(self) -> bool:
        """Whether errors go to stdout as an envelope too, also for a command line that could not be parsed."""
        return self.json or (not self.command and "--json" in _own(self.arguments))


def _own(arguments: Sequence[str]) -> Sequence[str]:
    return arguments[: list(arguments).index("--")] if "--" in arguments else arguments


def command_name(ctx: click.Context | None) -> str:
    """Return the dotted name of the command (``volume.list``); ``flow`` where none was chosen."""
    return ".".join(ctx.command_path.split()[1:]) if ctx is not None and ctx.parent is not None else "flow"


def note_json(ctx: click.Context, _option: click.Parameter, wanted: bool) -> bool:
    """Remember that the answer is an envelope; the callback of every ``--json``."""
    invocation = ctx.find_object(Invocation)
    if invocation is not None:
        invocation.json, invocation.command = wanted, command_name(ctx)
    return wanted
