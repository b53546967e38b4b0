"""What a user is told when a command fails: problems, the mend, and last one line with the code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from typing import Any

import attrs
import click

from flow_core.cli._envelope import envelope
from flow_core.cli._invocation import Invocation, command_name
from flow_core.errors import ConfigError, FlowError, StateError

USAGE_EXIT, INTERNAL_EXIT = 2, 70
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}


@attrs.frozen
class Failure:
    """An error as it is shown; ``lines`` come before the hint."""

    code: str
    message: str
    exit_code: int
    hint: str = ""
    details: Mapping[str, Any] = {}
    lines: tuple[str, ...] = ()
    command: str = ""


def understand(error: BaseException) -> Failure:
    """Return how ``error`` is shown."""
    if isinstance(error, FlowError):
        return _flow_error(error)
    if isinstance(error, click.ClickException):
        return _usage_error(error)
    if isinstance(error, OSError) and error.errno in _DISK:
        return _flow_error(StateError(f"cannot write: {error.strerror}", "make room, then run the command again"))
    message = f"{type(error).__name__}: {error}".rstrip(": ")
    hint = "this is a fault of Flow itself; report it with what FLOW_DEBUG=1 shows"
    return Failure("INTERNAL", message, INTERNAL_EXIT, hint)


def _flow_error(error: FlowError) -> Failure:
    details = dict(error.details)
    lines: tuple[str, ...] = ()
    if isinstance(error, ConfigError) and error.problems:
        details["problems"] = error.problems
        lines = tuple(str(problem) for problem in error.problems)
    return Failure(error.code, error.message, error.exit_code, error.hint, details, lines)


def _usage_error(error: click.ClickException) -> Failure:
    ctx = getattr(error, "ctx", None)
    hint = getattr(error, "hint", "")
    if isinstance(error, click.NoSuchOption):
        message = f"there is no option {error.option_name}"
        near = [*_begins(ctx, error.option_name), *(error.possibilities or ())]
        hint = f"did you mean {near[0]}?" if near else ""
    else:
        message = error.format_message()
    if ctx is not None:
        hint = f"{hint} See: {ctx.command_path} --help".strip()
    usage = (ctx.get_usage(),) if ctx is not None else ()
    return Failure("USAGE", message, USAGE_EXIT, hint, {}, usage, command_name(ctx) if ctx is not None else "")


def _begins(ctx: click.Context | None, name: str) -> list[str]:
    """Return the options that begin with what was written."""
    params = ctx.command.params if ctx is not None else []
    return [option for param in params for option in param.opts if option.startswith(name)]


def report(error: BaseException, invocation: Invocation) -> int:
    """Tell the user of ``error`` and return the exit code."""
    if os.environ.get("FLOW_DEBUG", "") not in ("", "0"):
        import traceback

        traceback.print_exception(error)
    failure = understand(error)
    if invocation.wants_json:
        shown = {"code": failure.code, "message": failure.message, "hint": failure.hint, "details": failure.details}
        _answer(envelope(invocation.command or failure.command or "flow", None, shown))
    tell(failure)
    return failure.exit_code


def _answer(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:
        raise
    except OSError:  # it may be what is to be told
        pass


def tell(failure: Failure) -> None:
    """Write the failure to stderr; its last line is ``flow: error[CODE]: message``."""
    lines = list(failure.lines)
    if failure.hint:
        lines.append(f"  hint: {failure.hint}")
    lines.append(f"flow: error[{failure.code}]: {' '.join(failure.message.split())}")
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()
