"""HTTP for plugins: pooled connections, time-outs on every call, retries by class, one loop over pages.

It needs the distribution ``requests``, which a plugin that uses this names among its own dependencies.
"""

from __future__ import annotations

import ipaddress
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from flow_core.errors import ConfigError, TransientError

if TYPE_CHECKING:
    from types import ModuleType

    import requests

T = TypeVar("T")

_CONNECT, _ANSWER = 5.0, 20.0  # seconds
_PAUSE, _LONGEST = 0.5, 8.0  # seconds before the second try: at least, and the most that the other side may ask for
_POOL = 16
REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})


class Service:
    """One service behind a URL, for any number of threads.

    ``headers`` is called for every request, so that a credential is asked for when it is needed; it may raise AuthError.
    ``repeatable``: the methods that may be done twice there. Raises ConfigError for plain http to another machine.
    """

    def __init__(
        self, url: str, headers: Callable[[], Mapping[str, str]] = dict, *, repeatable: Iterable[str] = REPEATABLE
    ) -> None:
        check_url(url)
        self.url = url
        self._headers, self._repeatable = headers, frozenset(repeatable)
        self._lock = threading.Lock()

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Return the answer, whatever its status says; ``body`` goes as JSON, a ``query`` that is None is left out.

        What was refused for now (429: nothing was done) is sent once more, and so is what broke (a cut connection, a
        status from 500 on but 501) when it may be done twice: after half a second, or what Retry-After asks for, up to 8 s.
        Raises TransientError when there is no answer: whether it was done is unknown then. Redirects are not followed,
        for the headers are for this host alone.
        """
        broken = _requests().RequestException
        for last in (False, True):
            try:
                answer = self._request(method, path, query, body, headers)
            except broken as error:
                if last or method not in self._repeatable:
                    raise TransientError(f"{self.url} does not answer ({_reason(error)})", "try again") from None
                time.sleep(_PAUSE)
                continue
            asked = retry_after(answer)
            if last or asked > _LONGEST or not self._again(method, answer.status_code):
                break
            time.sleep(max(_PAUSE, asked))
        return answer

    def close(self) -> None:
        """Close the connections that are kept; a later call opens new ones."""
        with self._lock:
            session = self.__dict__.pop("_session", None)
        if session is not None:
            session.close()

    def _again(self, method: str, status: int) -> bool:
        return status == 429 or (status >= 500 and status != 501 and method in self._repeatable)

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: object,
        headers: Mapping[str, str] | None,
    ) -> requests.Response:
        own = self._headers()
        with self._lock:
            session = self._session
        return session.request(
            method,
            f"{self.url.rstrip('/')}/{path}",
            params={name: str(value) for name, value in (query or {}).items() if value is not None},
            json=body,
            headers={**(headers or {}), **own},
            timeout=(_CONNECT, _ANSWER),
            allow_redirects=False,
        )

    @cached_property
    def _session(self) -> requests.Session:
        library = _requests()
        session: requests.Session = library.Session()
        session.trust_env = False  # a .netrc must not answer for the credential
        for scheme in ("https://", "http://"):
            session.mount(scheme, library.adapters.HTTPAdapter(pool_maxsize=_POOL))
        return session


def _requests() -> ModuleType:
    with warnings.catch_warnings():  # what it imports sets filters of its own for the whole process
        import requests
    return requests


def pages(read: Callable[[str | None], tuple[Iterable[T], str | None]]) -> Iterator[T]:
    """Yield the rows of a paged list; ``read`` takes the cursor of a page and returns its rows and the next cursor.

    Raises TransientError when a cursor comes twice: the list is not whole then.
    """
    cursor, seen = None, set[str]()
    while True:
        rows, cursor = read(cursor)
        yield from rows
        if not cursor:
            return
        if cursor in seen:
            raise TransientError("the list repeats a page, so it is not complete", "try again")
        seen.add(cursor)


def retry_after(answer: requests.Response) -> float:
    """Return the seconds that an answer asks to wait, 0 when it asks for none. Source: RFC 9110, section 10.2.3."""
    value = answer.headers.get("Retry-After", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def check_url(url: str) -> None:
    """Raise ConfigError for a URL that is none, or that would send credentials in the clear to another machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ConfigError(f"{parts.hostname or url!r} cannot be called", "write it as https://HOST[:PORT][/PATH]")
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise ConfigError(f"credentials would go to {parts.hostname} in the clear", "use https")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(error: requests.RequestException) -> str:
    from requests import Timeout
    from requests.exceptions import SSLError

    if isinstance(error, Timeout):
        return "it took too long"
    if isinstance(error, SSLError):
        return "its certificate is not trusted"
    return "the connection failed or was cut"
