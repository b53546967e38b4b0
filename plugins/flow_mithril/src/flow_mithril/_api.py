"""The HTTP side: one pooled session, time-outs on every call, retries by class, one loop over pages.

Source of paths, errors and paging: the API's published reference (docs/mithril.md says what of it is assumed).
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flow_core.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    FlowError,
    NotFoundError,
    QuotaError,
    TransientError,
    UnavailableError,
)
from flow_core.secrets import Credential

if TYPE_CHECKING:
    import requests

_CONNECT, _ANSWER = 5.0, 20.0  # seconds
_TRIES, _FIRST, _LONGEST = 2, 0.5, 8.0
_SAFE = frozenset({"GET", "DELETE", "PATCH"})  # PATCH here sets whole values: twice is once
_BILLING = ("billing", "payment", "stripe")
_PAGE = 100


class Api:
    """Calls the API; every method raises FlowErrors, of which TransientError alone says that the outcome is unknown."""

    def __init__(self, url: str, key: Credential | None) -> None:
        self._url, self._key = url, key
        self._lock = threading.Lock()

    @property
    def _session(self) -> requests.Session:
        with self._lock:
            return self._opened

    @cached_property
    def _opened(self) -> requests.Session:
        with warnings.catch_warnings():  # what it imports sets filters of its own for the whole process
            import requests
            from requests.adapters import HTTPAdapter

        session = requests.Session()
        session.trust_env = False  # a .netrc must not answer for the key
        session.mount("https://", HTTPAdapter(pool_maxsize=16))
        session.mount("http://", HTTPAdapter(pool_maxsize=16))
        return session

    def get(self, path: str, **query: object) -> Any:
        """Read; tried again while the other side is busy or broken."""
        return self._call("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, object], key: str | None = None) -> Any:
        """Create, once: what fails halfway is a TransientError and never sent again. ``key``: the Idempotency-Key."""
        return self._call("POST", path, body=body, headers={"Idempotency-Key": key} if key else {})

    def patch(self, path: str, body: Mapping[str, object]) -> Any:
        """Change; may be repeated."""
        return self._call("PATCH", path, body=body)

    def delete(self, path: str) -> bool:
        """Delete; False when it was gone already."""
        try:
            self._call("DELETE", path)
            return True
        except NotFoundError:
            return False

    def pages(self, path: str, **query: object) -> Iterator[dict[str, Any]]:
        """Yield the rows of a paged list. Raises TransientError when a cursor comes twice: the list is not whole."""
        cursor, seen = None, set[str]()
        while True:
            page = self.get(path, limit=_PAGE, next_cursor=cursor, **query)
            yield from page["data"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return
            if cursor in seen:
                raise TransientError(f"{path} repeats a page, so the list is not complete", "try again")
            seen.add(cursor)

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """429 says that nothing was done, so anything may be sent again; other faults only what may be done twice."""
        session = self._session
        from requests import RequestException

        pause = _FIRST
        for left in reversed(range(_TRIES)):
            try:
                answer = self._send(session, method, path, query, body, headers)
            except RequestException as error:
                if left == 0 or method not in _SAFE:
                    raise TransientError(f"{self._url} does not answer ({_reason(error)})", "try again") from None
                time.sleep(pause)
            else:
                busy, broken = answer.status_code == 429, answer.status_code >= 500 and answer.status_code != 501
                asked = _retry_after(answer)
                again = busy or (broken and method in _SAFE)
                if not again or left == 0 or asked > _LONGEST:
                    return _content(answer, method, path, asked)
                time.sleep(max(pause, asked))
            pause = min(2 * pause, _LONGEST)
        raise AssertionError("unreachable")

    def _send(
        self,
        session: requests.Session,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: Any,
        headers: Mapping[str, str] | None,
    ) -> requests.Response:
        if self._key is None:
            raise AuthError("there is no API key", "run `flow login mithril` or set MITHRIL_API_KEY")
        return session.request(
            method,
            f"{self._url}/v2/{path}",
            params={name: str(value) for name, value in (query or {}).items() if value is not None},
            json=body,
            headers={**(headers or {}), "Authorization": f"Bearer {self._key.reveal()}", "User-Agent": "flow-mithril"},
            timeout=(_CONNECT, _ANSWER),
            allow_redirects=False,  # the key is for this host alone
        )


def _content(answer: requests.Response, method: str, path: str, asked: float) -> Any:
    if answer.status_code < 300:
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise TransientError(f"the answer to {method} {path} is not JSON", "check api_url") from error
    raise _error(answer, f"{method} {path}", asked)


def _error(answer: requests.Response, what: str, asked: float) -> FlowError:
    status, said = answer.status_code, _detail(answer)
    text = f"{said} ({what}: {status})" if said else f"{what} was answered with {status}"
    words = said.lower()
    if status == 401:
        return AuthError(f"the API key was refused: {text}", "make a new one and run `flow login mithril`")
    if status == 429 or (status >= 500 and status != 501):
        if status == 503 and "capacity" in words:
            return UnavailableError(text, "try another region, or later")
        return TransientError(f"the API cannot do this now: {text}", "try again", retry_after=asked or None)
    if status == 402 or any(word in words for word in _BILLING):
        return UnavailableError(text, "set up billing in the console: https://app.mithril.ai")
    if "quota" in words:
        return QuotaError(text, "ask for more in the console, or use less")
    if status == 403:
        return AuthError(text, "use a key of that project, or ask for the right")
    if status == 404:
        return NotFoundError(text)
    if status == 409 or "already" in words:
        return ConflictError(text)
    return ConfigError(text)


def _detail(answer: requests.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return ""
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(map(str, one.get('loc', ())))}: {one.get('msg', '')}" for one in detail)
    return str(detail)


def _retry_after(answer: requests.Response) -> float:
    value = answer.headers.get("Retry-After", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _reason(error: requests.RequestException) -> str:
    from requests import Timeout
    from requests.exceptions import SSLError

    if isinstance(error, Timeout):
        return "it took too long"
    if isinstance(error, SSLError):
        return "its certificate is not trusted"
    return "the connection failed or was cut"
