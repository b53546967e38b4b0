"""``flow exec``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import click

from flow_core.cli._invocation import TaskStatus
from flow_core.cli._options import node_option, task_argument
from flow_core.cli._talk import say_which
from flow_core.client import Flow
from flow_core.errors import UnavailableError
from flow_core.types import ShellSession

_PASSED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("exec")
@click.option("--tty/--no-tty", default=None, help="Give it a terminal; default: when this is one.")
@node_option
@task_argument
@click.argument("words", metavar="-- COMMAND...", nargs=-1, required=True)
def command(task: str, node: int, tty: bool | None, words: Sequence[str]) -> int:
    """Run a command beside a running task, in its environment, and exit with the command's code."""
    found = Flow().task(task)
    say_which(task, found.row)
    if found.refresh().is_final:
        why = f"{found.id} has ended ({found.row.state}): there is nothing to run beside"
        raise UnavailableError(why, f"run it again: flow retry {found.id}")
    terminal = sys.stdin.isatty() and sys.stdout.isatty() if tty is None else tty
    return TaskStatus(_start(found.exec(words, node, terminal)))


def _start(session: ShellSession) -> int:
    """Run the command on this terminal and return its exit code; signals are the command's to answer."""
    try:
        started = subprocess.Popen(session.argv, env={**os.environ, **session.env})
    except OSError as error:
        raise UnavailableError(
            f"cannot start {session.argv[0]}: {error.strerror}", "install it, or name it on PATH"
        ) from error
    former = {number: signal.signal(number, lambda number, _: _pass_on(started, number)) for number in _PASSED}
    try:
        code = started.wait()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code


def _pass_on(started: subprocess.Popen[bytes], number: int) -> None:
    if number != signal.SIGINT or not sys.stdin.isatty():  # a terminal has sent it to the command already
        started.send_signal(number)
