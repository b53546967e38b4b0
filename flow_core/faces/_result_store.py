"""A result store as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from flow_core.errors import FlowError, StateError
from flow_core.faces._face import Face
from flow_core.types import ResultInfo, Ticket

if TYPE_CHECKING:
    from flow_core.plugins._scope import Scope

_SECONDS = 30.0


class ResultStore(Face):
    """One opened result store. Keys are relative paths with ``/``; content is bytes."""

    bounds = dict.fromkeys((f"flow_result_{verb}" for verb in ("ticket", "stat", "list", "get", "delete")), _SECONDS)

    def __init__(self, scope: Scope, name: str = "") -> None:
        super().__init__(scope)
        self._name = name

    @property
    def name(self) -> str:
        """What the settings call it."""
        return self._name or self._scope.name

    def ticket(self, key: str, method: str, size: int | None = None, expires_in: float = 3600.0) -> Ticket:
        """Give leave to ``PUT`` or ``GET`` one object of ``size`` bytes for ``expires_in`` seconds.

        A ``key`` that ends with ``/`` stands for all objects below it. Raises CapabilityError where there is no such leave.
        """
        hook = "flow_result_ticket"
        return self._typed(hook, self._call(hook, key=key, method=method, size=size, expires_in=expires_in), Ticket)

    def stat(self, key: str) -> ResultInfo:
        """Describe one object. Raises NotFoundError."""
        return self._typed("flow_result_stat", self._call("flow_result_stat", key=key), ResultInfo)

    def list(self, prefix: str = "") -> Iterator[ResultInfo]:
        """Yield the objects whose key begins with ``prefix``, in any order."""
        return self._stream("flow_result_list", self._call("flow_result_list", prefix=prefix), ResultInfo)

    def get(self, key: str, offset: int = 0) -> Iterator[bytes]:
        """Yield an object's bytes from ``offset`` on. Raises NotFoundError, when called or with the first bytes."""
        return self._stream("flow_result_get", self._call("flow_result_get", key=key, offset=offset), bytes)

    def put(self, key: str, data: Iterable[bytes], sha256: str) -> ResultInfo:
        """Store an object whose content has the hex digest ``sha256``; the same again is fine.

        Raises ConflictError when the key holds other content, StateError when ``data`` cannot be read to its end.
        """
        hook = "flow_result_put"
        return self._typed(hook, self._call(hook, key=key, data=_source(key, data), sha256=sha256), ResultInfo)

    def delete(self, key: str) -> bool:
        """Delete an object; True when it was there."""
        return self._typed("flow_result_delete", self._call("flow_result_delete", key=key), bool)


def _source(key: str, data: Iterable[bytes]) -> Iterator[bytes]:
    """Have a source that breaks off raise an error of its own: it is not the store's fault."""
    try:
        yield from data
    except FlowError:
        raise
    except Exception as error:
        raise StateError(
            f"what was to be stored as {key} cannot be read: {error}", "check the disk it is on"
        ) from error
