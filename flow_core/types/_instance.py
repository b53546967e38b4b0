"""The users' grammar of instance types: ``a100``, ``8xh100``, ``h100:8``, ``cpu``, ``32xcpu``."""

from __future__ import annotations

import re

import attrs

_COUNT_FIRST = re.compile(r"(\d+)x([a-z][a-z0-9._-]*)", re.ASCII | re.IGNORECASE)
_COUNT_LAST = re.compile(r"([a-z][a-z0-9._-]*):(\d+)", re.ASCII | re.IGNORECASE)


@attrs.frozen
class InstanceType:
    """What an instance-type word says: so many GPUs (or CPUs, when ``kind`` is ``cpu``) of a kind, per node."""

    kind: str
    count: int | None

    @property
    def is_cpu(self) -> bool:
        """Whether this asks for CPUs only."""
        return self.kind == "cpu"


def parse_instance_type(text: str) -> InstanceType:
    """Read ``a100`` (one, or whatever the provider's type of that name has), ``8xh100``, ``h100:8``, ``cpu`` or ``32xcpu``.

    A word that is none of these stands as it is, with no count: a provider's own type name. A count of 0 raises ValueError.
    """
    word = text.strip()
    if found := _COUNT_FIRST.fullmatch(word):
        count, kind = int(found[1]), found[2]
    elif found := _COUNT_LAST.fullmatch(word):
        count, kind = int(found[2]), found[1]
    else:
        return InstanceType(word.lower(), None)
    if count == 0:
        raise ValueError(f"{text!r} asks for 0 of {kind}; leave it out or ask for at least 1")
    return InstanceType(kind.lower(), count)
