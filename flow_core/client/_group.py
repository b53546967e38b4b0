"""Tasks that were read from one file: submitted together, each knows whose group it is in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from flow_core.client._submit import submit

if TYPE_CHECKING:
    from flow_core.client._plan import Plan
    from flow_core.client._session import Session
    from flow_core.journal import TaskRow

LABEL, VARIABLE = "group", "FLOW_GROUP"


def submit_group(session: Session, plans: Sequence[Plan]) -> list[TaskRow]:
    """Submit the plans in order. All but the first are labelled with its id, and find it in their environment."""
    rows: list[TaskRow] = []
    for plan in plans:
        rows.append(submit(session, _joined(plan, rows)))
    return rows


def _joined(plan: Plan, before: Sequence[TaskRow]) -> Plan:
    if not before:
        return plan
    config, first = plan.config, before[0].id
    waits = [f"any:{before[number].id}" for number in (plan.task.after if plan.task else ())]
    config = attrs.evolve(
        config,
        depends_on=(*config.depends_on, *waits),
        labels={**config.labels, LABEL: first},
        env={**config.env, VARIABLE: first},
    )
    return attrs.evolve(plan, config=config)
