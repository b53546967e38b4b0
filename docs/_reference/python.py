"""``import flow``, from signatures and docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flow_core
from _reference.markdown import page, prose, signature
from flow_core import aio
from flow_core.client import Artifact, Flow, Plan, Task, exit_status
from flow_core.functions import RemoteFunction

_INTRO = """
`import flow` and `import flow_core as flow` give the same names; the second works where another distribution owns the
name `flow`. `**fields` are the keys of a task: [config.md](config.md). Errors: [errors.md](errors.md).
"""


def pages() -> Mapping[str, str]:
    """Return the page."""
    functions = [flow_core.run, flow_core.submit, flow_core.invoke, flow_core.function]
    functions += [flow_core.task, flow_core.tasks, exit_status]
    awaited = [aio.run, aio.submit, aio.invoke, aio.function, aio.task]
    parts = [
        *_section(
            "Functions", "Each uses the client of the folder and the environment it is called in.", functions, "flow."
        ),
        *_section("flow.Flow", prose(Flow.__doc__), _methods(Flow), ""),
        *_section("flow.Task", prose(Task.__doc__), _methods(Task), ""),
        *_section("flow.Artifact", prose(Artifact.__doc__), _methods(Artifact), ""),
        *_section("flow.RemoteFunction", prose(RemoteFunction.__doc__), _methods(RemoteFunction), ""),
        *_section("flow.Plan", prose(Plan.__doc__), _methods(Plan), ""),
        *_section("flow.aio", prose(aio.__doc__), awaited, "flow.aio."),
        *_section("flow.aio.AsyncTask", prose(aio.AsyncTask.__doc__), _methods(aio.AsyncTask), ""),
        *_section("flow.aio.AsyncFunction", prose(aio.AsyncFunction.__doc__), _methods(aio.AsyncFunction), ""),
    ]
    return {"python.md": page("Python", _INTRO, *parts)}


def _section(title: str, text: str, members: list[Any], prefix: str) -> Iterator[str]:
    yield f"## {title}\n\n{text}"
    for member in members:
        if isinstance(member, property):
            yield f"**`{member.fget.__name__}`**: {prose(member.__doc__)}"  # type: ignore[union-attr]
        else:
            yield f"**`{_name(member, prefix)}`**\n\n{prose(member.__doc__)}"


def _name(function: Callable[..., Any], prefix: str) -> str:
    awaited = "await " if inspect.iscoroutinefunction(function) else ""
    return awaited + signature(function, f"{prefix}{function.__name__}")


def _methods(cls: type) -> list[Any]:
    return [value for name, value in vars(cls).items() if not name.startswith("_") and _is_member(value)]


def _is_member(value: object) -> bool:
    return isinstance(value, property) or (inspect.isfunction(value) and bool(value.__doc__))
