"""Errors and exit codes, from the classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from _reference.markdown import code, page, prose, table
from flow_core import errors
from flow_core.cli._main import INTERRUPTED, PIPE_CLOSED
from flow_core.client._exit import CANCELLED_STATUS, TIMED_OUT_STATUS

_INTRO = """
`flow run`, `flow wait`, `flow logs -f` and `flow exec` exit with the task's (or the command's) own code. All other
codes are Flow's. A task may exit with 64 to 77 too; to tell whose a code is: the last line of stderr begins with
`flow: error[CODE]` only for Flow's own, `--json` answers have `error`, and the file that `FLOW_EXIT_FILE` names gets
`task N` or `flow N`.
"""
_CLASSES = """
Every error that Flow raises on purpose is a `flow.FlowError` with `message`, `hint` (what to do) and `details`. Retries
are decided by class: only `TransientError` is tried again.
"""


def pages() -> Mapping[str, str]:
    """Return the page."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.FlowError)]
    rows = ((code(k.__name__), code(k.code), str(k.exit_code), prose(k.__doc__).replace("\n", " ")) for k in kinds)
    classes = table(("class", "code", "exit", "when"), rows)
    codes = table(("exit", "code", "meaning"), _codes())
    return {"errors.md": page("Errors and exit codes", "## Exit codes", _INTRO, codes, "## Classes", _CLASSES, classes)}


def _codes() -> Iterator[tuple[str, str, str]]:
    yield "0", "", "it worked, or the task succeeded"
    yield "N", "", "the task's own exit code; 128 + N when signal N ended it"
    yield str(TIMED_OUT_STATUS), "", "the task's time limit ended it"
    yield str(CANCELLED_STATUS), "", "the task was cancelled before it had an exit code"
    yield "1", "", "the task failed without an exit code; `flow doctor` found something wrong"
    yield "2", code("USAGE"), "the command line cannot be understood"
    for number, name in sorted(errors.EXIT_CODES.items()):
        if name != "USAGE":
            extra = f" or {code('INTERNAL')}" if number == errors.ProviderError.exit_code else ""
            yield str(number), code(name) + extra, _meaning(name)
    yield str(INTERRUPTED), "", "Ctrl-C; the task goes on unless you chose to cancel it"
    yield str(PIPE_CLOSED), "", "nobody reads the output any more; the task goes on"


def _meaning(name: str) -> str:
    kind = next(k for k in vars(errors).values() if isinstance(k, type) and getattr(k, "code", "") == name)
    return prose(kind.__doc__).partition("\n")[0]
