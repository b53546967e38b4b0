"""Tasks that wait for others of the same queue."""

from typing import Optional, Tuple

from .bundle import Bundle
from .record import Doc, locate, read_final

_CHAIN = "it depends on "


def verdict(root: str, bundle: Bundle) -> Optional[Tuple[bool, str]]:
    """Whether a task may start: None while it waits, (True, "") when it may, (False, why) when it never will."""
    waits = False
    for wanted in bundle.depends_on:
        folder = locate(root, str(wanted["ref"]))
        if folder is None:
            return False, "it depends on %s, which this machine does not know" % wanted["task"]
        final = read_final(folder)
        if final is None:
            waits = True
        elif not wanted.get("any") and final["state"] != "succeeded":
            return False, _why(wanted["task"], final)
    return None if waits else (True, "")


def _why(task: str, final: Doc) -> str:
    reason = str(final["reason"])
    if reason.startswith(_CHAIN):  # of a chain the first failure counts, and one line has to hold it
        return reason
    return "%s%s, which ended as %s: %s" % (_CHAIN, task, final["state"], reason)
