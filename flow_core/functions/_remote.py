"""The decorated function: called here as ever, and elsewhere by ``remote``, ``submit`` and ``map``."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from flow_core.functions import _invoke, _map
from flow_core.functions._invoke import Wanted
from flow_core.functions._map import How

if TYPE_CHECKING:
    import sys

    if sys.version_info >= (3, 11):
        from typing import Unpack
    else:
        from typing_extensions import Unpack

    from flow_core.client import Flow, Task
    from flow_core.client._fields import FunctionFields

P = ParamSpec("P")
R = TypeVar("R")


class RemoteFunction(Generic[P, R]):
    """A function with what its tasks ask for. Calling it calls it here.

    ``local`` is the function itself; ``client`` gives the client that its tasks are submitted with.
    """

    def __init__(self, local: Callable[P, R], client: Callable[[], Flow], fields: Mapping[str, Any]) -> None:
        update_wrapper(self, local)
        self.local = local
        self._client = client
        self._fields = dict(fields)

    @property
    def __flow_local__(self) -> Callable[P, R]:
        return self.local

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here."""
        return self.local(*args, **kwargs)

    @property
    def trusted(self) -> bool:
        """Whether pickles that come back are read."""
        return bool(self._fields.get("trusted", True))

    def __repr__(self) -> str:
        return f"<RemoteFunction {self.local.__qualname__}>"

    def options(self, **fields: Unpack[FunctionFields]) -> RemoteFunction[P, R]:
        """Return the same function with other words laid over its own."""
        return RemoteFunction(self.local, self._client, {**self._fields, **fields})

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Task[R]:
        """Submit a call and return at once; :meth:`flow_core.Task.result` has the value."""
        wanted, fields = self._wanted()
        return _invoke.submit(self._client(), wanted, args, kwargs, fields)

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function as a task: wait, show what it writes, and return its value or raise what it raised."""
        wanted, fields = self._wanted()
        task = _invoke.submit(self._client(), wanted, args, kwargs, fields)
        value: R = _invoke.finish(task, True, wanted.trusted)
        return value

    def map(
        self,
        items: Iterable[Any],
        *,
        max_workers: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        resume: str | None = None,
    ) -> Generator[R, None, None]:
        """Call the function for each item, over a few workers that serve many each, and yield the results as they come.

        ``max_workers``: tasks at once; default: one per core where they run on this machine, else one. ``ordered``: in the
        order of the items, else as they are done. An exception of the function is raised when its turn comes, which ends the
        map, or is yielded in its place with ``return_exceptions``. ``retries`` of the function is how often an item that
        failed, or whose worker was lost, is called again. ``resume`` names the map: what was done under this name is not
        called again. ``items`` may be endless; a bounded number of them is under way. Ending the iteration cancels the workers.
        """
        return self.run_map(items, How(max_workers, ordered, return_exceptions, resume))

    def starmap(
        self,
        items: Iterable[Iterable[Any]],
        *,
        max_workers: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        resume: str | None = None,
    ) -> Generator[R, None, None]:
        """As :meth:`map`, where each item is the arguments of one call."""
        return self.run_map(items, How(max_workers, ordered, return_exceptions, resume, many=True))

    def run_map(self, items: Iterable[Any], how: How) -> Generator[R, None, None]:
        """As :meth:`map` and :meth:`starmap`."""
        wanted, fields = self._wanted()
        return _map.run(self._client(), wanted, items, fields, how)

    def _wanted(self) -> tuple[Wanted, dict[str, Any]]:
        return split(self.local, "", self._fields)


def split(function: _invoke.Function, name: str, fields: Mapping[str, Any]) -> tuple[Wanted, dict[str, Any]]:
    """Return what is meant for the call, and the words of the task."""
    rest = dict(fields)
    python, trusted = rest.pop("python", None), rest.pop("trusted", True)
    return Wanted(function, name, python, trusted), rest
