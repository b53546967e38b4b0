"""Tasks that were read from one file: submitted together, each knows whose group it is in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from flow_core.client._submit import submit, submit_alike
from flow_core.types import new_task_id

if TYPE_CHECKING:
    from flow_core.client._plan import Plan
    from flow_core.client._session import Session
    from flow_core.faces import Provider
    from flow_core.journal import TaskRow
    from flow_core.types import TaskConfig

LABEL, VARIABLE = "group", "FLOW_GROUP"


def submit_group(session: Session, plans: Sequence[Plan]) -> list[TaskRow]:
    """Submit the plans in order. All but the first are labelled with its id, and find it in their environment."""
    if _at_once(plans):
        ids = [new_task_id() for _ in plans]
        return submit_alike(session, [_joined(plan, ids[:n]) for n, plan in enumerate(plans)], ids)
    rows: list[TaskRow] = []
    for plan in plans:
        rows.append(submit(session, _joined(plan, [row.id for row in rows])))
    return rows


def submit_many(session: Session, plans: Sequence[Plan]) -> list[TaskRow]:
    """Submit plans that know nothing of each other, in one call where that can be."""
    if _at_once(plans):
        return submit_alike(session, plans, [new_task_id() for _ in plans])
    return [submit(session, plan) for plan in plans]


def _at_once(plans: Sequence[Plan]) -> bool:
    """Whether one call may submit them all: they ask the same of one provider, and none waits for another."""
    first = plans[0] if len(plans) > 1 else None
    if first is None or "flow_provision_submit_many" not in first.provider.supports:
        return False
    return all(_needs(plan) == _needs(first) for plan in plans) and not any(
        plan.config.idempotency_key or (plan.task and plan.task.after) for plan in plans
    )


def _needs(plan: Plan) -> tuple[Provider, TaskConfig]:
    return plan.provider, attrs.evolve(plan.config, command="", env={}, labels={}, name=None)


def _joined(plan: Plan, before: Sequence[str]) -> Plan:
    if not before:
        return plan
    config, first = plan.config, before[0]
    waits = [f"any:{before[number]}" for number in (plan.task.after if plan.task else ())]
    config = attrs.evolve(
        config,
        depends_on=(*config.depends_on, *waits),
        labels={**config.labels, LABEL: first},
        env={**config.env, VARIABLE: first},
    )
    return attrs.evolve(plan, config=config)
