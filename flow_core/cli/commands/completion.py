"""``flow completion``."""

from __future__ import annotations

import sys

import click
from click.shell_completion import get_completion_class

from flow_core.cli._app import app
from flow_core.cli._envelope import emit
from flow_core.cli._main import COMPLETE_VARIABLE
from flow_core.cli._options import json_option

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
def command(shell: str, as_json: bool) -> None:
    """Print the completion script for a shell.

    \b
      bash  eval "$(flow completion bash)"    in ~/.bashrc
      zsh   eval "$(flow completion zsh)"     in ~/.zshrc
      fish  flow completion fish | source     in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    shown = kind(app, {}, "flow", COMPLETE_VARIABLE)
    script = shown.source_template % shown.source_vars()  # source() would start a bash to ask for its version
    if as_json:
        emit({"shell": shell, "script": script})
    else:
        sys.stdout.write(script)
