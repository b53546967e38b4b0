"""Giving a rented machine back: by a request to its platform, by a command, or by switching it off.

A deed is ``{"kind": "http", "method", "url", "body", "credential"}``, where ``credential`` names a file (0600) in the
machine's own folder whose content is sent as a bearer token; ``{"kind": "command", "argv"}``; or
``{"kind": "poweroff"}``, which whoever started the keeper does when that ends.
"""

import json
import os
import subprocess
from typing import Optional

from .record import Doc

DONE, AGAIN, REFUSED, POWEROFF = "done", "again", "refused", "poweroff"
_SECONDS = 20.0


def act(root: str, deed: Optional[Doc]) -> str:
    """Do a deed: DONE, AGAIN (it may work later), REFUSED (it never will) or POWEROFF (it is for the caller)."""
    kind = (deed or {}).get("kind")
    if deed is None or kind in (None, "none"):
        return REFUSED
    if kind == "http":
        return _ask(root, deed)
    if kind == "command":
        return _run([str(word) for word in deed["argv"]])
    return POWEROFF if kind == "poweroff" else REFUSED


def forget(root: str, deed: Optional[Doc]) -> None:
    """Remove the credential of a deed that will not be done any more."""
    name = (deed or {}).get("credential")
    if name:
        try:
            os.unlink(_path(root, str(name)))
        except OSError:
            return


def _ask(root: str, deed: Doc) -> str:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with open(_path(root, str(deed["credential"]))) as file:
            token = file.read().strip()
    except OSError:
        return REFUSED
    body = deed.get("body")
    request = Request(str(deed["url"]), method=str(deed.get("method") or "DELETE"))
    request.add_header("Authorization", "Bearer " + token)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    try:
        with urlopen(request, timeout=_SECONDS):
            return DONE
    except HTTPError as error:
        if error.code in (404, 409, 410):  # it has ended already
            return DONE
        return REFUSED if error.code in (400, 401, 403, 405) else AGAIN
    except OSError:
        return AGAIN


def _path(root: str, name: str) -> str:
    return "%s/%s" % (root, os.path.basename(name))


def _run(argv: "list[str]") -> str:
    try:
        return DONE if subprocess.call(argv, stdin=subprocess.DEVNULL, timeout=_SECONDS) == 0 else AGAIN
    except (OSError, subprocess.SubprocessError):
        return AGAIN
