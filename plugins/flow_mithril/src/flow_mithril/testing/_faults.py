"""Faults that a test asks for: the next requests fail in a way that networks and services do."""

from __future__ import annotations

import re

import attrs

KINDS = ("answer", "hang", "cut", "apply", "apply-cut")


@attrs.define
class Fault:
    """What happens to the next ``times`` requests of ``method`` whose path matches ``path``.

    ``answer``: refused with ``status``, nothing done. ``hang``: no answer for ``seconds``, then cut. ``cut``: the
    connection is closed, nothing done. ``apply``: done, and answered with ``status``. ``apply-cut``: done, and the
    connection is closed before the answer.
    """

    kind: str = attrs.field(default="answer", validator=attrs.validators.in_(KINDS))
    method: str = ""
    path: str = ".*"
    times: int = 1
    status: int = 500
    detail: str = "Internal Server Error"
    retry_after: str | None = None
    seconds: float = 3600.0

    def hits(self, method: str, path: str) -> bool:
        """Say whether it is this request's; it then counts as used."""
        if self.times < 1 or self.method not in ("", method) or not re.fullmatch(self.path, path):
            return False
        self.times -= 1
        return True

    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": self.retry_after}
