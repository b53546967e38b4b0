"""``python FOLDER/files/function``: call the function of this task."""

import os
import sys
from contextlib import suppress
from typing import Optional

from . import call as calls, envelope
from .call import RefusedError
from .envelope import Body


def main() -> int:
    """Return the exit code: 0, 1 when it raised, else what it called ``sys.exit`` with."""
    folder = os.environ["FLOW_TASK_DIR"]
    error: Optional[BaseException] = None
    try:
        call = calls.read(folder, folder + "/files/function/call")
        if call.header["call"].get("map"):
            from .worker import work

            return work(folder, call)
        kind, body, error = calls.run(call, call.arguments, call.keywords)
    except KeyboardInterrupt:
        raise
    except RefusedError as refused:
        kind, body = "error", calls.refusal(*refused.args)
        sys.stderr.write("flow: %s: %s\n" % refused.args)
    except BaseException as raised:  # by the user's module when it was imported
        kind, body, error = "error", calls.describe(raised, False), raised
    if os.environ.get("RANK", "0") == "0":
        keep(folder, kind, body)
    return _end(kind, error)


def _end(kind: str, error: Optional[BaseException]) -> int:
    status = 0 if kind == "value" else 1
    if isinstance(error, SystemExit):
        code = calls._status(error)
        status = 1 if code is None else code
    elif error is not None:
        with suppress(Exception):
            sys.stderr.write(calls.traceback_of(error))
    _flush()
    return status


def _flush() -> None:
    """What nobody can read any more must not become our exit code."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except (OSError, ValueError, AttributeError):
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def keep(folder: str, kind: str, body: Body) -> None:
    """Write the task's ``result``, whole or not at all; that of an earlier attempt is replaced."""
    new = folder + "/.result.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        envelope.write(fd, {"kind": kind, "attempt": int(os.environ["FLOW_ATTEMPT"])}, body)
    finally:
        os.close(fd)
    os.rename(new, folder + "/result")
