"""``flow run``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from flow_core.cli._complete import complete_profile
from flow_core.cli._options import json_option
from flow_core.spec import flags, is_task_file


class RunCommand(click.Command):
    """Options end at the command's first word; behind a task file they may still come."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move a task file behind the options that follow it."""
        words = self._words(ctx, args)
        start = len(args) - len(words)
        chosen = any(arg.partition("=")[0] == "--frontend" for arg in args[:start])
        if len(words) > 1 and not chosen and is_task_file(words[0]) and args[start - 1 : start] != ["--"]:
            if more := self._words(ctx, words[1:]):
                raise click.UsageError(f"{words[0]} is a task file and takes no arguments: {more[0]}", ctx)
            args = [*args[:start], *words[1:], words[0]]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what is Flow's and what is the task's under headings of their own."""
        keys = {flag.key for flag in flags()}
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], "What the task is and needs": []}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)) is not None:
                sections["What the task is and needs" if parameter.name in keys else "Options"].append(record)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def _words(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return what is left of ``args`` when the options before it are taken away."""
        found, _, _ = self.make_parser(ctx).parse_args(list(args))
        words = found.get("words")
        return list(words) if isinstance(words, (tuple, list)) else []


def _task_options() -> Iterator[click.Option]:
    for flag in flags():
        names = [
            f"{flag.name}/{flag.negative}" if flag.is_flag_pair else flag.name,
            *([flag.short] if flag.short else []),
        ]
        yield click.Option(
            [*names, flag.key],
            help=flag.help,
            metavar=flag.metavar or None,
            multiple=flag.multiple,
            default=None,
            type=bool if flag.is_flag_pair else str,
            shell_complete=complete_profile if flag.key == "provider" else None,
        )


@click.command(
    "run",
    cls=RunCommand,
    context_settings={"allow_interspersed_args": False},
    epilog="What flow prints of its own goes to stderr. Exit codes: the task's; Flow's own are 2 and 64 to 77.",
)
@click.argument("words", metavar="COMMAND... | FILE [ARGUMENTS]", nargs=-1, required=True)
@click.option("-d", "--detach", is_flag=True, help="Print the task's id and do not wait.")
@click.option("--dry-run", is_flag=True, help="Say what would run, where and at what price; do nothing.")
@click.option("-v", "--verbose", is_flag=True, help="With --dry-run: also what would be sent, and the whole config.")
@click.option("-q", "--quiet", is_flag=True, help="Leave out Flow's own lines.")
@click.option("--no-redact", is_flag=True, help="Show the values of the task's own secrets.")
@click.option("--frontend", metavar="NAME", help="The plugin that reads FILE; without it the one that knows it.")
@json_option
def command(
    words: Sequence[str],
    detach: bool,
    dry_run: bool,
    verbose: bool,
    quiet: bool,
    no_redact: bool,
    frontend: str | None,
    as_json: bool,
    **given: Any,
) -> int:
    """Run a command or a task file, follow it, and exit with its exit code.

    One word is text for `sh -c`; several are a program and its arguments, and everything behind the first belongs to
    it. A task file is YAML or JSON, or whatever an installed frontend reads; options are laid over it.

    \b
      flow run 'python train.py | tee log'
      flow run --gpu 8xh100 python train.py --lr 1e-4
      flow run train.yaml --name second-try
    """
    from flow_core.cli import _run

    request = _run.Request(words, given, detach, verbose, quiet, not no_redact, as_json, frontend)
    return _run.dry_run(request) if dry_run else _run.run(request)


command.params.extend(_task_options())
