"""A value that does not print."""

from __future__ import annotations

from typing import NoReturn

MASK = "***"


class Secret:
    """Holds ``value`` so that no repr, format, dump or pickle shows it; only :meth:`reveal` gives it away.

    ``name`` says which secret it is. Two are equal when their values are, compared in constant time; not hashable.
    """

    __slots__ = ("_value", "name")

    def __init__(self, value: str, name: str = "") -> None:
        self._value = value
        self.name = name

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK}, name={self.name!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        from hmac import compare_digest

        return compare_digest(
            self._value.encode("utf-8", "surrogateescape"), other._value.encode("utf-8", "surrogateescape")
        )

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"the secret {self.name or MASK} cannot be pickled")
