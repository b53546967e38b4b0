"""Groups of commands that are imported one by one, when they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from flow_core.cli._catalog import COMMANDS
from flow_core.errors import FlowError, PluginError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from flow_core.plugins import Plugin

PLUGINS = "Commands of plugins"


class Group(click.Group):
    """A click group whose unknown commands get a hint; without a command it shows its help."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "invoke_without_command": True, "callback": _help_when_alone})

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that ``args`` begin with. Raises UsageError with the nearest one."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing:
            self._unknown(ctx, name)
        return name if command else None, command, args[1:]

    def _unknown(self, ctx: click.Context, name: str) -> NoReturn:
        if name.startswith("-"):
            raise click.NoSuchOption(name, ctx=ctx)
        from difflib import get_close_matches

        error = click.UsageError(f"there is no command {name!r}", ctx)
        near = get_close_matches(name, self.list_commands(ctx), n=1)
        error.hint = f"did you mean `{ctx.command_path} {near[0]}`?" if near else ""  # type: ignore[attr-defined]
        raise error


@click.pass_context
def _help_when_alone(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


class LazyGroup(Group):
    """The group ``flow``: core commands from a table, then those of plugins. A plugin cannot replace a core command."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return every name; imports no command."""
        return [*COMMANDS, *(plugin.name for plugin in plugin_commands())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import and return one command."""
        if cmd_name in COMMANDS:
            found: click.Command = import_module(f"flow_core.cli.commands.{cmd_name}").command
            return found
        if any(plugin.name == cmd_name for plugin in plugin_commands()):
            return _load(cmd_name)
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the sections of the help from the table and from metadata."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in COMMANDS.items():
            sections.setdefault(entry.section, []).append((name, entry.help))
        for plugin in plugin_commands():
            sections.setdefault(PLUGINS, []).append((plugin.name, _summary(plugin)))
        widest = max(len(name) for rows in sections.values() for name, _ in rows)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), text) for name, text in rows])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names without importing any of them."""
        from click.shell_completion import CompletionItem

        known = {
            **{name: entry.help for name, entry in COMMANDS.items()},
            **{p.name: _summary(p) for p in plugin_commands()},
        }
        names = [CompletionItem(name, help=text) for name, text in known.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


def plugin_commands() -> list[Plugin]:
    """Return the commands that plugins add, by metadata alone; not those that are named like a core command."""
    from flow_core.plugins import Catalog

    return [plugin for name, plugin in Catalog().plugins("command").items() if name not in COMMANDS]


def _summary(plugin: Plugin) -> str:
    return f"{plugin.summary or 'No summary.'} ({plugin.distribution} {plugin.version})"


def _load(name: str) -> click.Command:
    """Import a plugin's command, if the settings allow it. Raises PluginError that says whose fault it is."""
    from flow_core.client import Flow

    plugin = Flow().session.catalog.plugin("command", name)
    command = plugin.load()
    if not isinstance(command, click.Command):
        raise PluginError(
            f"{plugin} is a {type(command).__name__}, not a click command",
            f"tell the authors of {plugin.distribution}",
            distribution=plugin.distribution,
        )
    _guard(command, plugin)
    return command


def _guard(command: click.Command, plugin: Plugin) -> None:
    """Have what the command raises name the plugin whose fault it is."""
    invoke: Callable[[click.Context], Any] = command.invoke

    def guarded(ctx: click.Context) -> Any:
        try:
            return invoke(ctx)
        except (FlowError, click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            message = f"{plugin} failed: {type(error).__name__}: {error}"
            raise PluginError(
                message, f"tell the authors of {plugin.distribution}", distribution=plugin.distribution
            ) from error

    command.invoke = guarded  # type: ignore[method-assign]


def walk(group: click.Group, ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield (name, command) of a group, in the order of its help."""
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is not None:
            yield name, command
