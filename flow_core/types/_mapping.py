"""A mapping that cannot be changed, and is otherwise a ``dict``: it pickles, copies and serializes as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class ReadOnly(dict[K, V]):
    """The read-only mapping in the fields of records."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a record's mapping is read-only: make a new record with attrs.evolve")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    def __copy__(self) -> ReadOnly[K, V]:
        return self


def read_only(value: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return a read-only copy; what record fields convert their mappings with."""
    return ReadOnly(value)


EMPTY: Mapping[str, Any] = ReadOnly()
