"""One hook called through the face of a provider, beside the call of the bare method."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, in_turns
from flow_core import NodeAccess, ProviderFacts, TaskRef, hookimpl
from flow_core.faces._provider import Provider
from flow_core.hookspecs import PROVIDER_SPECS
from flow_core.plugins._scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.place import Place

BUDGET = 2.5e-6  # seconds
CALLS = 20_000
_FACTS = ProviderFacts(prompt=True)


class Answering:
    """A provider whose answers cost nothing."""

    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        """Answer at once."""
        return _FACTS

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:  # noqa: ARG002 - the hook's signature
        """Have no node."""
        return ()


def measure(place: Place) -> list[Figure]:
    """Return the figures."""
    plugin, ref = Answering(), TaskRef("none")
    locked, free = _face(plugin, False), _face(plugin, True)
    found = in_turns(
        place.rounds(15),
        {
            "floor": lambda: _timed(lambda: [plugin.flow_node_access(ref) for _ in range(CALLS)]) / CALLS,
            "ours": lambda: _timed(lambda: [free.node_access(ref) for _ in range(CALLS)]) / CALLS,
            "locked": lambda: _timed(lambda: [locked.node_access(ref) for _ in range(CALLS)]) / CALLS,
        },
    )
    return [
        Figure("hook call", "through a face", "method", found["floor"], found["ours"], "median", BUDGET, "us"),
        Figure(
            "hook call, locked",
            "a plugin not thread-safe",
            "method",
            found["floor"],
            found["locked"],
            "median",
            BUDGET,
            "us",
        ),
    ]


def _timed(act: Callable[[], object]) -> float:
    """Return the seconds of processor time: nothing waits here, and so it is nobody else's."""
    started = time.thread_time()
    act()
    return time.thread_time() - started


def _face(plugin: object, thread_safe: bool) -> Provider:
    return Provider(Scope("answering", plugin, PROVIDER_SPECS, thread_safe=thread_safe), "answering", "answering")
