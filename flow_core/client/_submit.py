"""From a plan to a task: the intent is in the journal before the provider is called, so no crash loses or doubles it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs

from flow_core.client._companions import keep
from flow_core.client._keeping import arrange, with_start
from flow_core.client._needs import dependencies, find_secrets
from flow_core.client._refresh import adopt
from flow_core.errors import FlowError, PluginError, ProviderError, StateError, TransientError
from flow_core.types import (
    Event,
    Submission,
    TaskRef,
    VolumeSpec,
    new_request_id,
    new_task_id,
)

if TYPE_CHECKING:
    from flow_core.client._keeping import Arrangement
    from flow_core.client._plan import Plan
    from flow_core.client._session import Session
    from flow_core.journal import TaskRow

_DEADLINE = 60.0


def submit(session: Session, plan: Plan) -> TaskRow:
    """Submit a plan and return its row in the journal.

    Raises what the provider refused it with. When the outcome stays unknown for the provider's settle time the task is
    given up; until then the journal keeps the intent, and when this process is killed the next command goes on looking.
    """
    secrets = find_secrets(session, plan.config)
    submission = make_submission(session, plan, new_task_id(), secrets)
    kept = arrange(session, plan, submission.task_id)
    if kept is not None:
        submission = attrs.evolve(submission, bundle=kept.completed(submission.bundle))
    _create_volumes(session, plan)
    keep(session, submission.task_id, plan.task)
    row = _record_intent(session, plan, submission, calling=kept is None)
    if row.existing:
        return row
    if kept is not None:
        session.journal.add_keeping(row.id, kept.store, kept.leave.expires_at if kept.leave else None)
    try:
        if kept is not None:
            submission = _with_start(session, plan, kept, submission)
            session.journal.mark_calling(submission.request_id)
        return send(session, plan, submission)
    except BaseException as error:
        # Undecided, as after an interrupt or a full disk: the next command looks what became of it.
        with suppress(FlowError):
            session.journal.release(submission.request_id, _why(error))
        raise


def _why(error: BaseException) -> str:
    return error.message if isinstance(error, FlowError) else "the command that submitted it was interrupted"


def _with_start(session: Session, plan: Plan, kept: Arrangement, submission: Submission) -> Submission:
    try:
        return with_start(session, plan, kept, submission)
    except FlowError as error:
        reason = f"never submitted: it cannot be brought to its store: {error.message}"
        session.journal.mark_refused(submission.request_id, reason, "failed")
        raise


def _record_intent(session: Session, plan: Plan, submission: Submission, calling: bool) -> TaskRow:
    from flow_core.bundle import rooted
    from flow_core.journal import NewSubmission, NewTask
    from flow_core.spec import fingerprint, to_mapping

    config = plan.config
    return session.journal.record_intent(
        NewTask(
            id=submission.task_id,
            name=plan.name,
            provider=plan.profile.provider,
            profile=plan.profile.name,
            config=_json(to_mapping(rooted(config, session.cwd))),
            fingerprint=fingerprint(config),
            idempotency_key=config.idempotency_key,
            labels=config.labels,
            instance_type=config.instance_type,
            num_instances=config.num_instances,
            created_at=time.time(),
            money=plan.price_per_hour is not None,
        ),
        NewSubmission(request_id=submission.request_id),
        calling,
    )


def send(session: Session, plan: Plan, submission: Submission) -> TaskRow:
    """Call the provider, of which the journal is told already, and tell it what came of that."""
    refs: Sequence[TaskRef]
    try:
        refs = [plan.provider.submit(submission)]
    except (TransientError, ProviderError, PluginError) as error:
        refs = settle(session, plan, submission, error)
        if not isinstance(error, TransientError):
            warnings.warn(f"{error.message}; the task was accepted all the same", stacklevel=2)
    except FlowError as error:
        reason = f"refused by {plan.profile.name}: {error.message}"
        session.journal.mark_refused(submission.request_id, reason, "failed")
        raise
    return _accept(session, plan, submission, refs)


def _accept(session: Session, plan: Plan, submission: Submission, refs: Sequence[TaskRef]) -> TaskRow:
    task_id = submission.task_id
    try:
        adopt(session, submission.request_id, plan.provider, refs)
        row = session.journal.task(task_id)
    except (StateError, TransientError) as error:
        message = f"{task_id} was submitted to {plan.profile.name}, but this is not recorded: {error.message}"
        hint = f"do not submit it again: once the journal can be written, flow status {task_id} finds it"
        raise StateError(message, hint, {"task_id": task_id}) from error
    if row.cancel_requested_at is not None and not row.is_final:  # while it was on its way
        plan.provider.cancel(refs[0], plan.config.grace)
    return row


def settle(session: Session, plan: Plan, submission: Submission, error: FlowError) -> Sequence[TaskRef]:
    """Look for a submission of unknown outcome until the provider's settle time has passed; then raise ``error``."""
    from flow_core.waiting import retry

    wait = plan.provider.facts.settle_seconds
    since, deadline = time.time() - _DEADLINE, time.monotonic() + wait
    while True:
        refs = retry(lambda: plan.provider.find([submission.request_id], since)).get(submission.request_id, [])
        if refs:
            return refs
        if time.monotonic() >= deadline:
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
        depends_on=dependencies(session, plan.provider, plan.config.depends_on),
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
        options=plan.provider.options(plan.config),
    )


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
    try:
        volume = session.provider(profile).create_volume(spec, request_id)
    except (TransientError, ProviderError, PluginError):
        raise  # it may be there all the same
    except FlowError:
        session.journal.forget_resource(request_id)
        raise
    session.journal.mark_resource(request_id, "created", volume.id)
    session.host.event(Event("volume.created", time.time(), data={"profile": profile, "volume": volume.id}))
    return volume.id


def _json(document: Mapping[str, object]) -> str:
    import json

    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)
