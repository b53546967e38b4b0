"""Core commands from a table, and those of plugins."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import click
import pytest

from flow_core.cli._app import app
from flow_core.cli._catalog import COMMANDS

if TYPE_CHECKING:
    from conftest import Program, Site

_HELLO = """
    import click

    @click.command()
    @click.option("--to", default="you")
    def command(to):
        click.echo(f"hello {to}")
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_each_command_says_of_itself(name: str) -> None:
    command = import_module(f"flow_core.cli.commands.{name}").command
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help


def test_every_module_of_a_command_is_in_the_table() -> None:
    from pkgutil import iter_modules

    from flow_core.cli import commands

    assert {module.name for module in iter_modules(commands.__path__)} == set(COMMANDS)


def test_every_option_has_a_help() -> None:
    def walk(command: click.Command, path: str) -> list[str]:
        inner = [walk(found, f"{path} {name}") for name, found in getattr(command, "commands", {}).items()]
        options = [p for p in command.params if isinstance(p, click.Option) and not p.help]
        return [f"{path} {option.opts[0]}" for option in options] + [name for names in inner for name in names]

    ctx = click.Context(app)
    assert [name for word in COMMANDS for name in walk(app.get_command(ctx, word) or app, word)] == []


def test_a_plugins_command_is_listed_with_its_distributions_summary(flow: Program, site: Site) -> None:
    site.install(
        "flow-hello",
        {"flow.commands": {"hello": "hello_plugin:command"}},
        {"hello_plugin": "raise SystemExit(9)"},
        summary="Greets.",
    )
    out = flow("--help").out
    assert "Commands of plugins:" in out
    assert any(line.split() == ["hello", "Greets.", "(flow-hello", "1.2)"] for line in out.splitlines())


def test_a_plugins_command_runs(flow: Program, site: Site) -> None:
    site.install("flow-hello", {"flow.commands": {"hello": "hello_plugin:command"}}, {"hello_plugin": _HELLO})
    assert flow("hello", "--to", "me").out == "hello me\n"


def test_a_plugin_cannot_take_the_place_of_a_core_command(flow: Program, site: Site) -> None:
    site.install("flow-usurper", {"flow.commands": {"status": "hello_plugin:command"}}, {"hello_plugin": _HELLO})
    assert flow("status").out.startswith("ID ")
    assert "usurper" not in flow("--help").out


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import nowhere_to_be_found", "its dependency 'nowhere_to_be_found' is not installed"),
        ("raise RuntimeError('at import')", "RuntimeError: at import"),
        ("command = 3", "is a int, not a click command"),
        ("other = 3", "hello_plugin:command does not exist"),
        (
            "import click\n@click.command()\ndef command():\n    raise KeyError('inside')",
            "command 'hello' (flow-hello 1.2) failed: KeyError: 'inside'",
        ),
    ],
)
def test_a_broken_plugins_command_says_whose_fault_it_is(flow: Program, site: Site, source: str, words: str) -> None:
    site.install("flow-hello", {"flow.commands": {"hello": "hello_plugin:command"}}, {"hello_plugin": source})
    answer = flow("hello")
    assert answer.status == 72
    assert answer.last_line.startswith("flow: error[PLUGIN]: ")
    assert words in answer.last_line
    assert "flow-hello" in answer.err
    assert flow("--help").status == 0


def test_a_command_that_the_settings_do_not_allow_is_not_imported(
    flow: Program, site: Site, environ: dict[str, str]
) -> None:
    from pathlib import Path

    site.install("flow-hello", {"flow.commands": {"hello": "hello_plugin:command"}}, {"hello_plugin": _HELLO})
    home = Path(environ["FLOW_HOME"])
    home.mkdir()
    (home / "config.yaml").write_text("policy: {plugins: {allow: [flow-local]}}\n")
    answer = flow("hello")
    assert (answer.status, answer.out) == (66, "")


def test_plugins_can_be_left_out_by_the_environment(flow: Program, site: Site) -> None:
    site.install("flow-hello", {"flow.commands": {"hello": "hello_plugin:command"}}, {"hello_plugin": _HELLO})
    assert flow("hello", FLOW_DISABLE_PLUGINS="flow-hello").status == 2
    assert flow("hello", FLOW_NO_PLUGINS="1").status == 2
