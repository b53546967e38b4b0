"""From a plan to a task: the intent is in the journal before the provider is called, so no crash loses or doubles it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import attrs

from flow_core.client._arrangement import arrange, with_start
from flow_core.client._companions import keep
from flow_core.client._needs import dependencies, find_secrets
from flow_core.client._refresh import adopt
from flow_core.errors import ConfigError, FlowError, PluginError, ProviderError, StateError, TransientError
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
    from flow_core.client._arrangement import Arrangement
    from flow_core.client._plan import Plan
    from flow_core.client._session import Session
    from flow_core.journal import NewSubmission, NewTask, TaskRow

_DEADLINE = 60.0


def submit(session: Session, plan: Plan) -> TaskRow:
    """Submit a plan and return its row in the journal.

    Raises what the provider refused it with. When the outcome stays unknown for the provider's settle time the task is
    given up; until then the journal keeps the intent, and when this process is killed the next command goes on looking.
    """
    submission, kept = _prepare(session, plan, new_task_id())
    row = session.journal.record_intent(*_intent(session, plan, submission), calling=kept is None)
    if row.existing:
        return row
    with _undecided(session, [submission]):
        if kept is not None:
            submission = _keep_for(session, plan, kept, submission)
            session.journal.mark_calling(submission.request_id)
        return send(session, plan, submission)


def submit_alike(session: Session, plans: Sequence[Plan], task_ids: Sequence[str]) -> list[TaskRow]:
    """Submit plans of one provider that has ``flow_provision_submit_many``, in one call; none has an idempotency key.

    All intents are in the journal before it. Raises ConfigError with what was refused, when all others are decided.
    """
    prepared = [_prepare(session, plan, task_id) for plan, task_id in zip(plans, task_ids, strict=True)]
    orders = [submission for submission, _ in prepared]
    session.journal.record_intents(_intent(session, plan, order) for plan, order in zip(plans, orders, strict=True))
    with _undecided(session, orders):
        sent = [
            order if kept is None else _keep_for(session, plan, kept, order)
            for plan, (order, kept) in zip(plans, prepared, strict=True)
        ]
        _send_all(session, plans[0], sent)
    return [session.journal.task(order.task_id) for order in orders]


def _prepare(session: Session, plan: Plan, task_id: str) -> tuple[Submission, Arrangement | None]:
    secrets = find_secrets(session, plan.config)
    submission = make_submission(session, plan, task_id, secrets)
    kept = arrange(session, plan, task_id)
    if kept is not None:
        submission = attrs.evolve(submission, bundle=kept.completed(submission.bundle))
    _create_volumes(session, plan)
    keep(session, task_id, plan.task)
    return submission, kept


@contextmanager
def _undecided(session: Session, submissions: Sequence[Submission]) -> Iterator[None]:
    """Give up what an error leaves undecided, as an interrupt or a full disk: the next command looks what became of it."""
    try:
        yield
    except BaseException as error:
        for submission in submissions:
            with suppress(FlowError):
                session.journal.release(submission.request_id, _why(error))
        raise


def _why(error: BaseException) -> str:
    return error.message if isinstance(error, FlowError) else "the command that submitted it was interrupted"


def _keep_for(session: Session, plan: Plan, kept: Arrangement, submission: Submission) -> Submission:
    """Note where the task's results go; bring the task itself there for a provider that has machines fetch it."""
    session.journal.add_keeping(submission.task_id, kept.store, kept.leave.expires_at if kept.leave else None)
    try:
        return with_start(session, plan, kept, submission)
    except FlowError as error:
        reason = f"never submitted: it cannot be brought to its store: {error.message}"
        session.journal.mark_refused(submission.request_id, reason, "failed")
        raise


def _intent(session: Session, plan: Plan, submission: Submission) -> tuple[NewTask, NewSubmission]:
    from flow_core.bundle import rooted
    from flow_core.journal import NewSubmission, NewTask
    from flow_core.spec import fingerprint, to_mapping

    config = plan.config
    return (
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
    )


def send(session: Session, plan: Plan, submission: Submission) -> TaskRow:
    """Call the provider, of which the journal is told already, and tell it what came of that."""
    refs: Sequence[TaskRef]
    try:
        refs = [plan.provider.submit(submission)]
    except (TransientError, ProviderError, PluginError) as error:
        refs = settle(session, plan, [submission], error)[submission.request_id]
        if not isinstance(error, TransientError):
            warnings.warn(f"{error.message}; the task was accepted all the same", stacklevel=2)
    except FlowError as error:
        reason = f"refused by {plan.profile.name}: {error.message}"
        session.journal.mark_refused(submission.request_id, reason, "failed")
        raise
    return _accept(session, plan, submission, refs)


def _send_all(session: Session, plan: Plan, orders: Sequence[Submission]) -> None:
    session.journal.mark_calling(*(order.request_id for order in orders))
    answers: Mapping[str, TaskRef | Problem]
    error: FlowError = TransientError(f"{plan.profile.name} gave no answer for it", "submit it again")
    try:
        answers = plan.provider.submit_many(orders)
    except (TransientError, ProviderError, PluginError) as failed:
        answers, error = {}, failed
    except FlowError as refusal:
        answers = {order.request_id: Problem("", "REFUSED", refusal.message, refusal.hint) for order in orders}
    refs = {name: [ref] for name, ref in answers.items() if isinstance(ref, TaskRef)}
    _accept_all(session, plan, orders, refs)
    refused = [_refuse(session, plan, name, one) for name, one in answers.items() if isinstance(one, Problem)]
    if silent := [order for order in orders if order.request_id not in answers]:
        _accept_all(session, plan, silent, settle(session, plan, silent, error))
    if refused:
        text = f"{plan.profile.name} refused {len(refused)} of {len(orders)} tasks"
        raise ConfigError(text, "the others were submitted: see `flow status`", problems=refused)


def _refuse(session: Session, plan: Plan, request_id: str, problem: Problem) -> Problem:
    reason = f"refused by {plan.profile.name}: {problem.message}"
    session.journal.mark_refused(request_id, reason, "failed")
    return problem


def _accept_all(
    session: Session, plan: Plan, orders: Sequence[Submission], refs: Mapping[str, Sequence[TaskRef]]
) -> None:
    """Record the references in one transaction; what asks for more than that is recorded by itself."""
    names = (plan.provider.provider, plan.provider.profile)
    single = {name: format_ref(*names, found[0]) for name, found in refs.items() if len(found) == 1}
    for event in session.journal.mark_accepted_all(single):
        session.host.event(event)
    for order in orders:
        if order.request_id in refs:
            _accept(session, plan, order, refs[order.request_id])


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


def settle(
    session: Session, plan: Plan, submissions: Sequence[Submission], error: FlowError
) -> Mapping[str, Sequence[TaskRef]]:
    """Look for submissions of unknown outcome until all are found; raise ``error`` after the provider's settle time."""
    from flow_core.waiting import retry

    wait = plan.provider.facts.settle_seconds
    since, deadline = time.time() - _DEADLINE, time.monotonic() + wait
    names = [submission.request_id for submission in submissions]
    while True:
        refs = retry(lambda: plan.provider.find(names, since))
        if len(refs) == len(names):
            return refs
        if time.monotonic() >= deadline:
            break
        time.sleep(min(2.0, wait))
    _accept_all(session, plan, submissions, refs)
    for name in (name for name in names if name not in refs):
        session.journal.mark_abandoned(name, f"never submitted: {error.message}", "failed")
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


def delete_volume(session: Session, profile: str, volume_id: str) -> bool:
    """Delete one volume; False when it was gone."""
    was_there = session.provider(profile).delete_volume(volume_id)
    for row in session.journal.resources(profile, "volume", "created"):
        if row.id == volume_id:
            session.journal.mark_resource(row.request_id, "released")
    if was_there:
        session.host.event(Event("volume.deleted", time.time(), data={"profile": profile, "volume": volume_id}))
    return was_there


def _json(document: Mapping[str, object]) -> str:
    import json

    return json.dumps(document, separators=(",", ":"))
