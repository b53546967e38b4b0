"""From a plan to a task: the intent is in the journal before the provider is called, so no crash loses or doubles it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flow_core.errors import ConfigError, FlowError, PluginError, ProviderError, TransientError
from flow_core.types import (
    Event,
    Problem,
    Submission,
    TaskRef,
    VolumeSpec,
    format_ref,
    new_request_id,
    new_task_id,
)

if TYPE_CHECKING:
    from flow_core.client._plan import Plan
    from flow_core.client._session import Session
    from flow_core.journal import TaskRow

_DEADLINE = 60.0


def submit(session: Session, plan: Plan) -> TaskRow:
    """Submit a plan and return its row in the journal.

    Raises what the provider refused it with. When the outcome stays unknown for the provider's settle time the task is
    given up; until then the journal keeps the intent, and when this process is killed the next command goes on looking.
    """
    from flow_core.journal import NewSubmission, NewTask
    from flow_core.spec import fingerprint, to_mapping

    secrets = find_secrets(session, plan)
    _create_volumes(session, plan)
    submission = make_submission(session, plan, new_task_id(), secrets)
    config = plan.config
    row = session.journal.record_intent(
        NewTask(
            id=submission.task_id,
            name=plan.name,
            provider=plan.profile.provider,
            profile=plan.profile.name,
            config=_json(to_mapping(config)),
            fingerprint=fingerprint(config),
            idempotency_key=config.idempotency_key,
            labels=config.labels,
            instance_type=config.instance_type,
            num_instances=config.num_instances,
            created_at=time.time(),
            money=plan.price_per_hour is not None,
        ),
        NewSubmission(request_id=submission.request_id),
    )
    if row.existing:
        return row
    send(session, plan, submission)
    return session.journal.task(submission.task_id)


def send(session: Session, plan: Plan, submission: Submission) -> TaskRef:
    """Call the provider, with the journal told before and after."""
    journal = session.journal
    journal.mark_calling(submission.request_id)
    try:
        ref = plan.provider.submit(submission)
    except (TransientError, ProviderError, PluginError) as error:
        ref = settle(session, plan, submission, error)
    except FlowError as error:
        journal.mark_refused(submission.request_id, f"refused by {plan.profile.name}: {error.message}", "failed")
        raise
    event = journal.mark_accepted(submission.request_id, format_ref(plan.profile.provider, plan.profile.name, ref))
    if event is not None:
        session.host.event(event)
    return ref


def settle(session: Session, plan: Plan, submission: Submission, error: FlowError) -> TaskRef:
    """Look for a submission of unknown outcome until the provider's settle time has passed; then raise ``error``."""
    from flow_core.waiting import retry

    wait = plan.provider.facts.settle_seconds
    started = time.time()
    while True:
        refs = retry(lambda: plan.provider.find([submission.request_id], started - _DEADLINE)).get(submission.request_id, [])
        if refs:
            for double in refs[1:]:
                plan.provider.cancel(double, 0.0)
            return refs[0]
        if time.time() - started >= wait:
            break
        time.sleep(min(2.0, wait))
    session.journal.mark_abandoned(submission.request_id, f"never submitted: {error.message}", "failed")
    raise error


def make_submission(session: Session, plan: Plan, task_id: str, secrets: Mapping[str, str]) -> Submission:
    """Return the provider's order for a plan, under a request id of its own."""
    from flow_core.bundle import build
    from flow_core.client._frontends import rank_environments

    request_id, now = new_request_id(), time.time()
    bundle = build(
        plan.config,
        task_id=task_id,
        request_id=request_id,
        name=plan.name,
        facts=plan.provider.facts,
        secrets=secrets,
        cwd=session.cwd,
        created_at=now,
        depends_on=_dependencies(session, plan),
        files=plan.task.files if plan.task else {},
        rank_env=rank_environments(session, plan.task, plan.config),
    )
    return Submission(
        request_id=request_id,
        task_id=task_id,
        provider=plan.profile.provider,
        profile=plan.profile.name,
        config=plan.config,
        bundle=bundle,
        deadline=now + _DEADLINE,
    )


def find_secrets(session: Session, plan: Plan) -> dict[str, str]:
    """Return the values of the secrets that the plan names. Raises ConfigError that names all that are missing."""
    if not plan.config.secrets:
        return {}
    from flow_core.secrets import find

    stores = session.secret_stores
    values = {ref.name: find(ref.name, stores) for ref in plan.config.secrets}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        hint = "set it in the environment or keep it with: flow secret set NAME"
        raise ConfigError(
            f"no value is known for the secret {', '.join(missing)}",
            hint,
            problems=[Problem("secrets", "NO_SECRET", f"no value is known for {name}", hint) for name in missing],
        )
    return {name: value.reveal() for name, value in values.items() if value is not None}


def _dependencies(session: Session, plan: Plan) -> list[dict[str, object]]:
    """Resolve ``depends_on`` to the provider's references. Raises ConfigError when one runs somewhere else."""
    from flow_core.types import parse_ref

    found: list[dict[str, object]] = []
    for word in plan.config.depends_on:
        name = word.removeprefix("any:")
        row = session.journal.find(name)
        if row.profile != plan.profile.name or row.ref is None:
            message = f"{name} runs on {row.profile}, and {plan.profile.name} cannot wait for it"
            raise ConfigError(message, problems=[Problem("depends_on", "OTHER_PROVIDER", message)])
        found.append({"task": row.id, "ref": parse_ref(row.ref)[2].id, "any": name != word})
    return found


def _create_volumes(session: Session, plan: Plan) -> None:
    """Create the volumes that say ``create`` and are missing; each has an intent of its own in the journal."""
    wanted = [spec for spec in plan.config.volumes if spec.create]
    there = {volume.name for volume in plan.provider.volumes()} if wanted else set()
    for spec in wanted:
        if spec.name not in there:
            create_volume(session, plan.provider.profile, spec)


def create_volume(session: Session, profile: str, spec: VolumeSpec) -> str:
    """Create one volume and return its id."""
    request_id = new_request_id()
    session.journal.add_resource_intent(request_id, profile=profile, kind="volume")
    volume = session.provider(profile).create_volume(spec, request_id)
    session.journal.mark_resource(request_id, "created", volume.id)
    session.host.event(Event("volume.created", time.time(), data={"profile": profile, "volume": volume.id}))
    return volume.id


def _json(document: Mapping[str, object]) -> str:
    import json

    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)
