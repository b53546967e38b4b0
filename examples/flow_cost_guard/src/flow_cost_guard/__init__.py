"""flow_cost_guard: refuses tasks that cost more than a cap, and writes a line for every submission of every provider.

Variables: ``FLOW_COST_CAP`` (USD per hour of the whole task, 10 without it), ``FLOW_COST_FREE`` (providers that need
no price, comma separated, ``local`` without it), ``FLOW_COST_AUDIT`` (the file, in the state folder without it).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Sequence
from decimal import Decimal
from pathlib import Path

from flow_core import ConfigError, PolicyContext, Refusal, Submission, TaskConfig, TaskRef, hookimpl
from flow_core.hookspecs import HostHooks
from flow_core.settings import paths


class CostGuard(HostHooks):
    """The entry point ``flow.plugins: cost-guard`` names this class."""

    @hookimpl
    def flow_task_config(self, config: TaskConfig, context: PolicyContext) -> Refusal | None:
        if context.provider in os.environ.get("FLOW_COST_FREE", "local").split(","):
            return None
        if context.price_per_hour is None:
            return Refusal(f"{context.profile} names no price for it", "choose a type that `flow offers` prices")
        cost, cap = Decimal(context.price_per_hour) * config.num_instances, _cap()
        if cost > cap:
            return Refusal(f"it costs {cost} USD per hour, and the cap is {cap}", "ask for fewer or smaller nodes")
        return None

    @hookimpl
    def flow_scope_wrappers(self, provider: str, profile: str) -> Sequence[object]:
        return [Audit(profile)]


class Audit:
    """Wraps the submits of one profile."""

    def __init__(self, profile: str) -> None:
        self._profile = profile

    @hookimpl(wrapper=True)
    def flow_provision_submit(self, submission: Submission) -> Generator[None, TaskRef, TaskRef]:
        try:
            ref = yield
        except BaseException as error:
            self._write(submission, f"{type(error).__name__}: {error}")
            raise
        self._write(submission, ref.id)
        return ref

    def _write(self, submission: Submission, outcome: str) -> None:
        """Append one line; a line is written at once, so that the lines of two processes do not mix."""
        said = {"at": time.time(), "profile": self._profile, "task": submission.task_id, "outcome": outcome}
        path = Path(os.environ.get("FLOW_COST_AUDIT") or paths().state_dir / "audit.jsonl")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0) as file:
            file.write(json.dumps(said).encode() + b"\n")


def _cap() -> Decimal:
    text = os.environ.get("FLOW_COST_CAP", "10")
    try:
        return Decimal(text)
    except ArithmeticError:
        raise ConfigError(f"FLOW_COST_CAP is {text!r}, which is not a number", "write USD per hour, as 12.50") from None
