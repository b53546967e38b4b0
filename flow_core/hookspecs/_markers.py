"""The two markers of the contract, and what an optional hook does when it is not implemented."""

from __future__ import annotations

from typing import NoReturn

import pluggy

from flow_core.errors import CapabilityError

hookspec = pluggy.HookspecMarker("flow")
hookimpl = pluggy.HookimplMarker("flow")
"""Marks a method as the implementation of the hook of its name; ``wrapper=True`` has it wrap a provider's."""


def optional(hook: str) -> NoReturn:
    """Body of a hook that a plugin may leave out; core looks before it calls, so only direct calls get here."""
    raise CapabilityError(f"{hook} is not implemented", "use a provider that has it: flow plugins show NAME")
