"""The command line, from the click tree."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

import click

from _reference.markdown import code, page, table
from flow_core.cli._app import app
from flow_core.cli._catalog import COMMANDS
from flow_core.cli._group import walk

_INTRO = """
`python -m flow_core` is the same program. What Flow says of its own goes to stderr; stdout is the answer, or the
task's output. TIME is `90s`, `1h30m`, `2d`, `2-12:00:00` or a number of seconds; SIZE is `512MiB`, `100GB` or a number
of bytes. TASK is an id, the beginning of one, or a name (the newest task of that name). Exit codes:
[errors.md](errors.md). The keys behind the options of `flow run`: [config.md](config.md).
"""


def pages() -> Mapping[str, str]:
    """Return the page."""
    with click.Context(app, info_name="flow") as ctx:
        sections = [_described(name, app.get_command(ctx, name), ctx) for name in COMMANDS]
    return {"commands.md": page("Command line", _INTRO, _overview(), *sections)}


def _overview() -> str:
    rows = ((f"[`flow {name}`](#flow-{name})", entry.section, entry.help) for name, entry in COMMANDS.items())
    return table(("command", "section", "what it does"), rows)


def _described(name: str, command: click.Command | None, parent: click.Context) -> str:
    assert command is not None
    with click.Context(command, info_name=name, parent=parent) as ctx:
        path = ctx.command_path
        level = "##" if path.count(" ") == 1 else "###"
        parts = [f"{level} {path}", _help(command)]
        if isinstance(command, click.Group):
            return "\n\n".join([*parts, *(_described(inner, found, ctx) for inner, found in walk(command, ctx))])
        usage = " ".join([path, *command.collect_usage_pieces(ctx)])
        options = table(("option", "meaning"), _options(command))
        return "\n\n".join(filter(None, [parts[0], f"    {usage}", parts[1], options]))


def _help(command: click.Command) -> str:
    """Return the help; what click would not wrap (a paragraph that begins with \\b) becomes a block."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(_block(text) if text.startswith("\b") else text for text in paragraphs)


def _block(text: str) -> str:
    return "\n".join(f"    {line.strip()}" for line in text.split("\n")[1:])


def _options(command: click.Command) -> Iterator[tuple[str, str]]:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield code(_names(parameter)), parameter.help or ""


def _names(option: click.Option) -> str:
    names = sorted(option.opts, key=len)
    text = ", ".join(names) + (f" / {option.secondary_opts[0]}" if option.secondary_opts else "")
    return f"{text} {option.metavar}" if option.metavar and not option.is_flag else text
