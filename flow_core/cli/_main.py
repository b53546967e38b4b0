"""From arguments to an exit status: no traceback, no half-written pipe, one meaning per code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

import click

from flow_core.cli._invocation import Invocation, TaskStatus

COMPLETE_VARIABLE = "_FLOW_COMPLETE"
# What a shell shows for a program that SIGINT or SIGPIPE ended.
INTERRUPTED, PIPE_CLOSED = 128 + 2, 128 + 13


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; ``FLOW_EXIT_FILE`` gets ``task N`` or ``flow N``."""
    _open_closed_streams()
    _never_fail_to_print(sys.stdout, sys.stderr)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        status = _guarded(Invocation(arguments))
    _end_output()
    _note_status(status)
    return int(status)


def _guarded(invocation: Invocation) -> int:
    try:
        status = _invoke(invocation)
        sys.stdout.flush()
        return status
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        _drop(sys.stdout)
        return PIPE_CLOSED
    except Exception as error:
        return _failed(error, invocation)


def _failed(error: Exception, invocation: Invocation) -> int:
    from flow_core.cli._failure import report, understand

    try:
        return report(error, invocation)
    except BrokenPipeError:
        _drop(sys.stdout)
        return PIPE_CLOSED
    except OSError:  # nobody can be told
        return understand(error).exit_code


def _invoke(invocation: Invocation) -> int:
    from flow_core.cli._app import app

    if instruction := os.environ.get(COMPLETE_VARIABLE):
        from click.shell_completion import shell_complete

        return shell_complete(app, {}, "flow", COMPLETE_VARIABLE, instruction)
    try:
        with app.make_context("flow", list(invocation.arguments), obj=invocation) as ctx:
            answer = app.invoke(ctx)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.exceptions.NoArgsIsHelpError as alone:  # a plugin's group without a command: as core's own groups
        click.echo(alone.format_message())
        return 0
    return answer if isinstance(answer, int) else 0


def _end_output() -> None:
    """Whatever could not be written has been told: the interpreter's own last try must not change the status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _drop(stream)


def _open_closed_streams() -> None:
    """Open /dev/null for standard streams that are closed: the next file to be opened would get the number of one."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115 - it stays open


def _never_fail_to_print(*streams: TextIO) -> None:
    for stream in streams:
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]


def _show_warning(message: Warning | str, *_where: Any, **_more: Any) -> None:
    sys.stderr.write(f"flow: warning: {' '.join(str(message).split())}\n")


def _drop(stream: TextIO) -> None:
    """Point a stream at nothing, or the interpreter complains at its end about what it cannot flush."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _note_status(status: int) -> None:
    path = os.environ.get("FLOW_EXIT_FILE")
    if not path:
        return
    whose = "task" if isinstance(status, TaskStatus) else "flow"
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{whose} {int(status)}\n")
    except OSError as error:
        sys.stderr.write(f"flow: warning: cannot write FLOW_EXIT_FILE {path}: {error.strerror}\n")
