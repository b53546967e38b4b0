"""What a plan would send, without sending it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from flow_core.types import new_task_id

if TYPE_CHECKING:
    from flow_core.bundle import Selection
    from flow_core.client._plan import Plan
    from flow_core.client._session import Session


@attrs.frozen
class Code:
    """How the user's code would reach the node: the ``mode``, its folder, and the files of a snapshot."""

    mode: str
    root: Path
    selection: Selection | None = None


def code_of(session: Session, plan: Plan) -> Code:
    """Return what would become of the code. Raises ConfigError when its folder cannot be read."""
    from flow_core.bundle import code_mode, code_root, select

    mode, root = code_mode(plan.config, plan.provider.facts), code_root(plan.config, session.cwd)
    spec = plan.config.code
    return Code(mode, root, select(root, spec.include, spec.exclude) if mode == "snapshot" else None)


def preview(session: Session, plan: Plan) -> Mapping[str, str]:
    """Return what the provider would send (name -> text), secrets masked; empty where it cannot say."""
    if "flow_provision_preview" not in plan.provider.supports:
        return {}
    from flow_core.client._submit import make_submission
    from flow_core.secrets import Secret

    masked = {ref.name: str(Secret("", ref.name)) for ref in plan.config.secrets}
    return plan.provider.preview(make_submission(session, plan, new_task_id(), masked))
