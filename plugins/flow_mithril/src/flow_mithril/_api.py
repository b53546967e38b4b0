"""The HTTP side: calls, and what the API answers as errors of Flow.

Source of paths, errors and paging: the API's published reference (docs/mithril.md says what of it is assumed).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
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
from flow_core.http import Service, pages, retry_after
from flow_core.secrets import Credential

if TYPE_CHECKING:
    import requests

_SAFE = frozenset({"GET", "DELETE", "PATCH"})  # PATCH here sets whole values: twice is once
_BILLING = ("billing", "payment", "stripe")
_PAGE = 100


class Api:
    """Calls the API; every method raises FlowErrors, of which TransientError alone says that the outcome is unknown."""

    def __init__(self, url: str, key: Credential | None) -> None:
        self._key = key
        self.ahead = 0.0
        """How many seconds the platform's clock is ahead of this machine's, as its last answer had it."""
        self._service = Service(f"{url}/v2", self._headers, repeatable=_SAFE)

    def _headers(self) -> Mapping[str, str]:
        if self._key is None:
            raise AuthError("there is no API key", "run `flow login mithril` or set MITHRIL_API_KEY")
        return {"Authorization": f"Bearer {self._key.reveal()}", "User-Agent": "flow-mithril"}

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
        """Yield the rows of a paged list. Raises TransientError when it is not whole."""

        def read(cursor: str | None) -> tuple[list[dict[str, Any]], str | None]:
            page = self.get(path, limit=_PAGE, next_cursor=cursor, **query)
            return page["data"], page.get("next_cursor")

        return pages(read)

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        answer = self._service.send(method, path, query=query, body=body, headers=headers)
        with suppress(KeyError, ValueError):  # not every answer has a date
            self.ahead = parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
        return _content(answer, method, path, retry_after(answer))


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
