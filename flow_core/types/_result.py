"""Result stores: tickets and what is stored."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from flow_core.types._mapping import EMPTY


@attrs.frozen
class Ticket:
    """Leave to move objects without SDK or credential, until ``expires_at`` (UTC seconds). Its text is a secret.

    ``method`` is ``PUT`` or ``GET`` (of ``url``, with ``headers``), ``POST`` (a form of ``fields`` and, last, ``file``), or
    ``PATH``: ``url`` is a file of a file system that the node sees too. Leave below a whole prefix has the literal
    ``{key}`` where the rest of a key goes, in ``url`` or in a value of ``fields``; a ``PATH`` then is a folder.
    """

    method: str
    url: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(default=EMPTY, repr=False)
    expires_at: float | None = None
    max_bytes: int | None = None
    fields: Mapping[str, str] = attrs.field(default=EMPTY, repr=False)


@attrs.frozen
class ResultInfo:
    """One stored object: ``size`` in bytes, ``modified_at`` UTC seconds."""

    key: str
    size: int
    sha256: str | None = None
    modified_at: float | None = None
