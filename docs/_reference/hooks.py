"""The plugin contract: a page for each area, from the docstrings of its hooks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from _reference.markdown import code, page, prose, signature, table
from flow_core import hookspecs
from flow_core.faces import Frontend, Provider, ResultStore, SecretStore
from flow_core.hookspecs import PROVIDER_SPECS
from flow_core.plugins import GROUPS

_INTRO = """
A hook is a method of a plugin's class, marked with `@hookimpl`. The plugin subclasses the protocols that it supports,
so a type checker sees mistakes; names and arguments are checked again when it is opened. The hooks that are implemented
are what it can do. Arguments are passed by name; an implementation may leave out those it does not need. How to write a
provider: [writing a provider](../../provider.md).

*Bound*: seconds after which the caller gets a `TransientError`, while the call goes on in its thread. Providers whose
facts say `prompt` are called without one.
"""
REQUIRED = frozenset(
    {
        "flow_provision_submit",
        "flow_provision_find",
        "flow_provision_status",
        "flow_provision_cancel",
        "flow_node_access",
    }
)
_BOUNDS = {
    hook: bound for face in (Provider, Frontend, ResultStore, SecretStore) for hook, bound in face.bounds.items()
}
_GROUP = {
    "FrontendHooks": "frontend",
    "ResultHooks": "result store",
    "SecretHooks": "secret store",
    "HostHooks": "host plugin",
}


def pages() -> Mapping[str, str]:
    """Return the pages."""
    found = {f"hooks/{area}.md": _page(area, specs) for area, specs in _areas().items()}
    return {**found, "hooks/index.md": _index()}


def _areas() -> dict[str, list[type]]:
    """Return area (the module's name) -> its protocols."""
    areas: dict[str, list[type]] = {}
    for name in hookspecs.__all__:
        spec = getattr(hookspecs, name)
        if isinstance(spec, type):
            areas.setdefault(spec.__module__.rpartition(".")[2], []).append(spec)
    return dict(sorted(areas.items(), key=lambda item: item[0] != "provision"))


def _hooks(spec: type) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in vars(spec).items() if name.startswith("flow_"))


def _index() -> str:
    rows = (
        (f"[`{hook}`]({area}.md#{hook})", area, _required(hook), _bound(hook))
        for area, specs in _areas().items()
        for spec in specs
        for hook, _ in _hooks(spec)
    )
    groups = table(("plugin", "entry-point group"), ((kind, code(group)) for kind, group in GROUPS.items()))
    return page("Hooks", _INTRO, groups, table(("hook", "area", "required", "bound"), rows))


def _page(area: str, specs: list[type]) -> str:
    opening = prose(sys.modules[specs[0].__module__].__doc__)
    return page(f"Hooks: {area.replace('_', ' ')}", opening, *(part for spec in specs for part in _spec(spec)))


def _spec(spec: type) -> Iterator[str]:
    kind = "provider" if spec in PROVIDER_SPECS else _GROUP[spec.__name__]
    yield f"`flow_core.hookspecs.{spec.__name__}`, for a {kind} (group {code(GROUPS[kind])}). {prose(spec.__doc__)}"
    for name, hook in _hooks(spec):
        facts = [f"Required: {_required(name)}", *([f"bound: {_bound(name)}"] if _bound(name) else [])]
        yield f"## {name}\n\n    {signature(hook)}\n\n{'; '.join(facts)}.\n\n{prose(hook.__doc__)}"


def _required(hook: str) -> str:
    if hook == "flow_logs_read":
        return "without `flow_node_access`"
    return "yes" if hook in REQUIRED else "no"


def _bound(hook: str) -> str:
    return f"{_BOUNDS[hook]:g} s" if hook in _BOUNDS else ""
