"""Leave to move objects: by HTTP, or by a path of a file system that this machine shares. No SDK, no credential.

A ticket is ``{"method": "PUT"|"GET"|"POST"|"PATH", "url", "headers", "fields"}``. One for a prefix has ``{key}`` where the
rest of a key goes; a PATH then is a folder. Its text is a secret: no error of this module shows it.
"""

import errno
import os
from contextlib import suppress
from typing import Any, Dict, Tuple

_SECONDS = 60.0  # without a byte
_THERE = (409, 412)  # objects are named by their content: what is there is the same
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


class TicketError(Exception):
    """An object could not be moved; ``stale`` when the leave itself was refused, so that only a fresh one can help."""

    def __init__(self, message: str, stale: bool = False) -> None:
        super().__init__(message)
        self.stale = stale


def put(ticket: Dict[str, Any], name: str, data: bytes) -> None:
    """Store an object, ``name`` below the ticket's prefix ("": the ticket is for one object). Raises TicketError."""
    if ticket["method"] == "PATH":
        _put_path(os.path.join(ticket["url"], name) if name else ticket["url"], data, bool(name))
        return
    headers = dict(ticket.get("headers") or {})
    if ticket["method"] == "POST":
        fields = {key: value.replace("{key}", name) for key, value in (ticket.get("fields") or {}).items()}
        data, headers["Content-Type"] = form(fields, data)
    _request(ticket, name, headers, data)


def get(ticket: Dict[str, Any], name: str = "") -> bytes:
    """Fetch an object. Raises TicketError."""
    if ticket["method"] != "PATH":
        return _request(ticket, name, dict(ticket.get("headers") or {}), None)
    try:
        with open(os.path.join(ticket["url"], name) if name else ticket["url"], "rb") as file:
            return file.read()
    except OSError as error:
        raise TicketError("it cannot be read: %s" % error.strerror) from error


def form(fields: Dict[str, str], data: bytes) -> Tuple[bytes, str]:
    """A form with a file as its last field, as RFC 7578 has it, and its content type."""
    border = os.urandom(16).hex()
    head = "".join(
        '--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (border, name, value)
        for name, value in fields.items()
    )
    head += '--%s\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n' % border
    head += "Content-Type: application/octet-stream\r\n\r\n"
    whole = head.encode() + data + ("\r\n--%s--\r\n" % border).encode()
    return whole, "multipart/form-data; boundary=" + border


def _request(ticket: Dict[str, Any], name: str, headers: Dict[str, str], data: Any) -> bytes:
    import http.client
    import urllib.error
    import urllib.request

    url = ticket["url"].replace("{key}", name)
    host = _checked(url)
    request = urllib.request.Request(url, data=data, headers=headers, method=ticket["method"])
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            found: bytes = answer.read()
            return found
    except urllib.error.HTTPError as error:
        code = error.code
        error.close()
        if data is not None and code in _THERE:
            return b""
        raise TicketError("%s answered %d" % (host, code), stale=code in (400, 401, 403)) from None
    except urllib.error.URLError as error:
        raise TicketError("%s cannot be reached: %s" % (host, error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise TicketError("%s broke off: %s" % (host, type(error).__name__)) from None


def _checked(url: str) -> str:
    """The host of a URL that bytes may be sent to: in the clear to this machine only."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and host in ("localhost", "127.0.0.1", "::1")):
        raise TicketError("%s is not asked without https" % (host or "a store"), stale=True)
    return host


def _put_path(path: str, data: bytes, by_sum: bool) -> None:
    """Write a file beside its place and give it its name, unless it is there.

    ``by_sum``: it is named by its content, so one of another size is damaged, and replaced.
    """
    folder, name = os.path.split(path)
    new = os.path.join(folder, ".%s.%s" % (name[:32], os.urandom(4).hex()))
    try:
        with suppress(FileNotFoundError):
            if os.stat(path).st_size == len(data):
                os.utime(path)  # it is wanted again: younger than what nobody wants
                return
        os.makedirs(folder, 0o700, exist_ok=True)
        mode = os.stat(folder).st_mode & 0o666
        try:
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), mode)
            _name(new, path, by_sum)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(new)
    except OSError as error:
        raise TicketError("%s cannot be written: %s" % (folder, error.strerror)) from error


def _name(new: str, path: str, by_sum: bool) -> None:
    try:
        if by_sum:
            os.rename(new, path)
        else:
            os.link(new, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.rename(new, path)
