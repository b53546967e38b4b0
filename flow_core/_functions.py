"""``flow.submit`` and the other functions of the module: each uses the client of the folder and environment it is called in."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from flow_core.client import Flow, Task
from flow_core.settings._paths import working_folder

if TYPE_CHECKING:
    import sys

    if sys.version_info >= (3, 11):
        from typing import Unpack
    else:
        from typing_extensions import Unpack

    from flow_core.client._fields import FunctionFields, TaskFields
    from flow_core.client._flow import Command
    from flow_core.functions._remote import RemoteFunction

P = ParamSpec("P")
R = TypeVar("R")


@lru_cache(maxsize=4)
def _client(pid: int, cwd: str, settings: tuple[tuple[str, str], ...]) -> Flow:  # noqa: ARG001 - they are the cache's key
    return Flow(cwd)


def client() -> Flow:
    """Return the client for the current folder and ``FLOW_*`` environment; kept while these stay the same."""
    names = sorted(name for name in os.environ if name.startswith(("FLOW_", "XDG_")))
    return _client(os.getpid(), str(working_folder()), tuple((name, os.environ[name]) for name in names))


def submit(command: Command, /, **fields: Unpack[TaskFields]) -> Task:
    """Submit a task and return at once, as ``subprocess.Popen``; the task outlives this process."""
    return client().submit(command, **fields)


def run(command: Command, /, *, check: bool = False, stream: bool = True, **fields: Unpack[TaskFields]) -> Task:
    """Submit a task, wait for its end and return it, as ``subprocess.run``."""
    return client().run(command, check=check, stream=stream, **fields)


@overload
def invoke(
    function: Callable[..., R],
    /,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] = MappingProxyType({}),
    stream: bool = True,
    **fields: Unpack[FunctionFields],
) -> R: ...


@overload
def invoke(
    file: str | os.PathLike[str],
    name: str,
    /,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] = MappingProxyType({}),
    stream: bool = True,
    **fields: Unpack[FunctionFields],
) -> Any: ...


def invoke(
    function: Callable[..., Any] | str | os.PathLike[str],
    name: str = "",
    /,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] = MappingProxyType({}),
    stream: bool = True,
    **fields: Unpack[FunctionFields],
) -> Any:
    """Call a Python function as a task: wait, and return its value or raise what it raised.

    The function is a callable, or a file and the name of a function in it; neither needs to know of Flow. What it writes
    goes to this process's stdout and stderr unless ``stream`` is false. See :meth:`flow_core.Task.result` for the errors.
    """
    from flow_core.functions import _invoke
    from flow_core.functions._remote import split

    wanted, rest = split(function, name, fields)
    return _invoke.finish(_invoke.submit(client(), wanted, args, kwargs, rest), stream, wanted.trusted)


@overload
def function(function: Callable[P, R], /) -> RemoteFunction[P, R]: ...


@overload
def function(**fields: Unpack[FunctionFields]) -> Callable[[Callable[P, R]], RemoteFunction[P, R]]: ...


def function(function: Callable[..., Any] | None = None, /, **fields: Unpack[FunctionFields]) -> Any:
    """Decorate a function with what its tasks ask for; it is called here as ever, elsewhere by ``.remote(…)``.

    ``.submit(…)`` returns its task at once, ``.map(items)`` calls it for many items.
    """
    from flow_core.functions._remote import RemoteFunction

    if function is not None:
        return RemoteFunction(function, client, fields)
    return lambda local: RemoteFunction(local, client, fields)


def task(name: str) -> Task:
    """Find a task by id, unique id prefix, or name."""
    return client().task(name)


def tasks(limit: int | None = 20, **only: Any) -> list[Task]:
    """Return the newest tasks first."""
    return client().tasks(limit, **only)
