"""What happened, for host plugins that watch."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from flow_core.types._mapping import EMPTY


@attrs.frozen
class Event:
    """``kind`` is a dotted word (``task.submitted``, ``task.state``, ``volume.created``, …); ``at`` is UTC seconds."""

    kind: str
    at: float
    task_id: str | None = None
    attempt: int | None = None
    rank: int | None = None
    data: Mapping[str, str] = EMPTY


@attrs.frozen
class Refusal:
    """A policy plugin's no, with the reason that the user sees."""

    reason: str
    hint: str = ""


@attrs.frozen
class PolicyContext:
    """What a policy may look at beside the config: where it would run and what it would cost (USD per node and hour)."""

    provider: str
    profile: str
    price_per_hour: str | None = None
    user: str = ""


@attrs.frozen
class CredentialRequest:
    """One field of one profile that core looks for."""

    provider: str
    profile: str
    field: str


@attrs.frozen
class DoctorCheck:
    """A finding of ``flow doctor``: ``status`` is ``ok``, ``warning`` or ``error``; ``mend`` says what to do."""

    name: str
    status: str
    message: str
    mend: str = ""


@attrs.frozen
class ShellSession:
    """A command on a node: ``argv`` to start here that is connected to it (as ``ssh host command``)."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = EMPTY
