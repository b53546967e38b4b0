"""Result stores: tickets and what is stored."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from flow_core.types._mapping import EMPTY


@attrs.frozen
class Ticket:
    """Leave to move one object without SDK or credential: ``PUT`` or ``GET`` a URL, or ``PATH`` of a shared file system.

    ``expires_at`` is UTC seconds; ``parts`` are the URLs of a multipart upload of ``part_bytes`` each, ended by ``complete``.
    """

    method: str
    url: str
    headers: Mapping[str, str] = EMPTY
    expires_at: float | None = None
    max_bytes: int | None = None
    parts: tuple[str, ...] = ()
    part_bytes: int = 0
    complete: Ticket | None = None
    checksum: str | None = None


@attrs.frozen
class ResultInfo:
    """One stored object: ``size`` in bytes, ``modified_at`` UTC seconds."""

    key: str
    size: int
    sha256: str | None = None
    modified_at: float | None = None
