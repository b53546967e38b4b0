"""Calling a function as a task."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from flow_core.errors import ConfigError
from flow_core.functions._call import Call, interpreter, make_call
from flow_core.functions._target import Target, in_file, of_callable
from flow_core.types import FrontendTask, FunctionCall, TaskConfig

if TYPE_CHECKING:
    from flow_core.client import Flow, Plan, Task

Function = Callable[..., Any] | str | os.PathLike[str]
_REFUSED = (
    (inspect.isgeneratorfunction, "a generator function, whose values cannot be sent one by one", "return a list"),
    (inspect.iscoroutinefunction, "a coroutine function", "call asyncio.run() in an ordinary one"),
    (inspect.isasyncgenfunction, "an asynchronous generator function", "return a list"),
)


@attrs.frozen
class Wanted:
    """What is to be called: a callable, or the ``name`` of a function in a file; ``python`` None = the default one."""

    function: Function
    name: str = ""
    python: str | None = None
    trusted: bool = True

    @property
    def title(self) -> str:
        """The function's name."""
        return self.name or getattr(self.function, "__qualname__", type(self.function).__qualname__)


def submit(
    flow: Flow, wanted: Wanted, arguments: Sequence[Any], keywords: Mapping[str, Any], fields: Mapping[str, Any]
) -> Task[Any]:
    """Submit one call."""
    plan, target = prepare(flow, wanted, fields)
    return submit_call(flow, plan, wanted, make(plan, wanted, target, arguments, keywords, {}))


def prepare(flow: Flow, wanted: Wanted, fields: Mapping[str, Any]) -> tuple[Plan, Target]:
    """Check the task and find the function, without any side effect. Raises ConfigError."""
    config = flow.config(TaskConfig(function=FunctionCall("", wanted.title)), **fields)
    plan = flow.plan(config)
    return plan, _target(flow, plan, wanted)


def make(
    plan: Plan,
    wanted: Wanted,
    target: Target,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    options: Mapping[str, object],
) -> Call:
    """Put a call into bytes."""
    python = interpreter(wanted.python, plan.config, plan.provider.facts)
    told = {**options, "plain": not wanted.trusted}
    return make_call(target, arguments, keywords, python, told)


def submit_call(flow: Flow, plan: Plan, wanted: Wanted, call: Call) -> Task[Any]:
    """Submit a call that was made for a plan."""
    config = attrs.evolve(plan.config, function=call.record)
    lent = wanted.python is None and plan.provider.facts.shares_client_files and config.image is None
    return flow.submit_plan(attrs.evolve(plan, config=config, task=FrontendTask(config, files=call.files(lent))))


def _target(flow: Flow, plan: Plan, wanted: Wanted) -> Target:
    from flow_core.bundle import code_mode, code_root

    root = code_root(plan.config, flow.session.cwd)
    function = wanted.function
    if isinstance(function, (str, os.PathLike)):
        if code_mode(plan.config, plan.provider.facts) == "none":
            raise ConfigError("code: none leaves the function's file behind", "leave code= out")
        return in_file(function, wanted.name, flow.session.cwd, root)
    function = getattr(function, "__flow_local__", function)
    if not callable(function):
        raise ConfigError(f"{function!r} is no function", "give a function, or a file and a name")
    inner = function.func if isinstance(function, partial) else function
    for is_such, what, hint in _REFUSED:
        if is_such(inner):
            raise ConfigError(f"{wanted.title} is {what}", hint)
    return of_callable(function, root)


def file_of(flow: Flow, plan: Plan, target: Target) -> str:
    """Return the file of the function on this machine; empty when it is in none of the user's own."""
    from flow_core.bundle import code_root

    return str(code_root(plan.config, flow.session.cwd) / target.file) if target.file else ""


def finish(task: Task[Any], stream: bool, trusted: bool) -> Any:
    """Return the value of a task; an interrupt cancels it, since nobody has its handle."""
    try:
        if stream:
            task.stream()
        return task.result(trusted=trusted)
    except KeyboardInterrupt:
        task.cancel(0.0)
        raise
