"""Result stores: what must outlive the machine (results, artifacts, final logs, code)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from flow_core.hookspecs._markers import hookspec, optional
from flow_core.types import ResultInfo, Ticket


class ResultHooks(Protocol):
    """The hooks of a result store; ``flow_result_ticket`` may be left out, then the client moves the bytes."""

    @hookspec(firstresult=True)
    def flow_result_stat(self, key: str) -> ResultInfo:
        """Describe one object. Raises NotFoundError; 30 s.

        Example::

            @hookimpl
            def flow_result_stat(self, key):
                return ResultInfo(key, (self._root / key).stat().st_size)
        """
        ...

    @hookspec(firstresult=True)
    def flow_result_list(self, prefix: str) -> Iterator[ResultInfo]:
        """Yield the objects whose key begins with ``prefix``, in any order.

        Example::

            @hookimpl
            def flow_result_list(self, prefix):
                return (ResultInfo(o.key, o.size) for o in self._bucket.list(prefix))
        """
        ...

    @hookspec(firstresult=True)
    def flow_result_get(self, key: str, offset: int) -> Iterator[bytes]:
        """Yield an object's bytes from ``offset`` on. Raises NotFoundError.

        Example::

            @hookimpl
            def flow_result_get(self, key, offset):
                with open(self._root / key, "rb") as file:
                    file.seek(offset)
                    while data := file.read(1 << 20):
                        yield data
        """
        ...

    @hookspec(firstresult=True)
    def flow_result_put(self, key: str, data: Iterator[bytes], sha256: str) -> ResultInfo:
        """Store an object if it is absent; the same key with the same sha256 is fine, with another a ConflictError.

        What is there already becomes as young as if it were new: `flow gc` leaves young bytes that nobody names yet.

        Example::

            @hookimpl
            def flow_result_put(self, key, data, sha256):
                return self._bucket.put_if_absent(key, data, sha256)
        """
        ...

    @hookspec(firstresult=True)
    def flow_result_delete(self, key: str) -> bool:
        """Delete an object; True when it was there; may be repeated; 30 s.

        Example::

            @hookimpl
            def flow_result_delete(self, key):
                return self._bucket.delete(key)
        """
        ...

    @hookspec(firstresult=True)
    def flow_result_ticket(self, key: str, method: str, size: int | None, expires_in: float) -> Ticket:
        """Give leave to move objects for ``expires_in`` seconds without SDK or credential; 30 s.

        ``method`` is PUT or GET. A ``key`` that ends with ``/`` asks for leave to PUT any object below it, for a machine
        that learns the names of its objects only later: a ticket with ``{key}`` in it, or a PATH that is a folder.
        Raises CapabilityError for what the store cannot give leave for; then the client moves those bytes.

        Example::

            @hookimpl
            def flow_result_ticket(self, key, method, size, expires_in):
                if key.endswith("/"):
                    form = self._bucket.presign_form(key + "{key}", expires_in)
                    return Ticket("POST", form.url, fields=form.fields)
                return Ticket(method, self._bucket.presign(key, method, expires_in))
        """
        optional("flow_result_ticket")
