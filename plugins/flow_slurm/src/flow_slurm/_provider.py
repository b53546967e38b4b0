"""The provider ``slurm``: one folder a task on the shared file system, one job that runs the runner in it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import attrs

from flow_core import (
    NodeAccess,
    NotFoundError,
    Offer,
    OfferRequest,
    Problem,
    ProviderFacts,
    Submission,
    TaskConfig,
    TaskListing,
    TaskRef,
    TaskReport,
    Volume,
    VolumeSpec,
    hookimpl,
)
from flow_core.hookspecs import NodeHooks, ProvisionHooks, VolumeHooks
from flow_core.types import DoctorCheck, QueuedTask, is_request_id
from flow_slurm import _check, _containers, _doctor, _offers, _refs, _states
from flow_slurm._cluster import Cluster
from flow_slurm._jobs import Job
from flow_slurm._orders import Orders, chosen_options
from flow_slurm._reports import Reports
from flow_slurm._settings import SlurmOptions, SlurmSettings

_STUCK = 20.0  # seconds after a cancel's grace until the job itself is ended
_FACTS = ProviderFacts(
    shares_client_files=True,
    dependencies=True,
    images=True,
    arrays=True,
    multi_node=True,
    services=True,
    separate_streams=True,
    restarts_by_itself=True,
    settle_seconds=30.0,
    min_poll_seconds=1.0,
)


class SlurmProvider(ProvisionHooks, NodeHooks, VolumeHooks):
    """Runs tasks as jobs of a Slurm cluster."""

    Settings = SlurmSettings
    Options = SlurmOptions

    def __init__(self, settings: SlurmSettings) -> None:
        self._cluster = Cluster(settings)
        self._orders, self._reports = Orders(self._cluster), Reports(self._cluster)

    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        return attrs.evolve(_FACTS, shares_client_files=self._cluster.settings.ssh is None)

    @hookimpl
    def flow_provision_check(self, config: TaskConfig) -> Sequence[Problem]:
        fit = _check.fit(config, chosen_options(config), self._cluster.settings, self._cluster.machines.answer()[1])
        contained = [] if config.image is None else _containers.problems(config, self._cluster.engine)
        return [*fit.problems, *self._cluster.volumes.problems(config), *contained]

    @hookimpl
    def flow_provision_offers(self, request: OfferRequest) -> Sequence[Offer]:
        return _offers.offers(self._cluster.machines.answer()[1], request)

    @hookimpl
    def flow_provision_preview(self, submission: Submission) -> Mapping[str, str]:
        argv = [
            *self._orders.argv(submission, submission.request_id),
            self._cluster.folders.path(submission.request_id) + "/script",
        ]
        return {
            "sbatch": " \\\n    ".join(argv),
            "script": self._orders.script(submission, "RUNNER"),
            "slurm": self._cluster.slurm.verdict(argv),
        }

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        return self._orders.submit(submission)

    @hookimpl
    def flow_provision_submit_many(self, submissions: Sequence[Submission]) -> Mapping[str, TaskRef | Problem]:
        return self._orders.submit_many(submissions)

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]:  # noqa: ARG002
        return self._reports.find([name for name in request_ids if is_request_id(name)])

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        return self._reports.status(refs)

    @hookimpl
    def flow_provision_list(self, since: float) -> Sequence[TaskListing]:
        return [task for task in self._cluster.folders.listings() if task.created_at >= since]

    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        name = _refs.parse(ref)
        report = None if name is None else self._cluster.folders.report(name.request)
        if name is None or report is None:
            raise NotFoundError(f"there is no task {ref.id}", "see what there is: flow status")
        asked = self._cluster.folders.cancelled_at(name.request)
        if _states.knows_the_end(report) or not self._cluster.folders.cancel(name.request, grace_seconds):
            return False
        stuck = asked is not None and time.time() - asked > grace_seconds + _STUCK
        self._cluster.slurm.cancel(name.job, stuck)
        return True

    @hookimpl
    def flow_provision_queue(self) -> Sequence[QueuedTask]:
        jobs = self._cluster.jobs.answer()[1]
        tasks = [
            (task, name) for task in self._cluster.folders.listings() if (name := _refs.parse(task.ref)) is not None
        ]
        live = [
            (task, job) for task, name in tasks if (job := self._reports.believed(name, jobs.get(name.job))) is not None
        ]
        found = [_queued(task, job) for task, job in live if not job.is_final and not self._is_over(task, job)]
        return sorted(found, key=lambda one: one.state != "running")

    def _is_over(self, task: TaskListing, job: Job) -> bool:
        """Whether a task has ended whose job Slurm keeps, for a node that is silent."""
        return job.state == "COMPLETING" and _states.knows_the_end(self._cluster.folders.report(task.request_id))

    @hookimpl
    def flow_provider_checks(self) -> Sequence[DoctorCheck]:
        if self._cluster.settings.rest is None:
            return list(_doctor.checks(self._cluster.shell, self._cluster.settings))
        return list(_doctor.rest_checks(self._cluster.slurm.about, lambda: self._cluster.folders.root))

    @hookimpl
    def flow_volume_create(self, spec: VolumeSpec, request_id: str) -> Volume:
        return self._cluster.volumes.create(spec, request_id)

    @hookimpl
    def flow_volume_list(self) -> Sequence[Volume]:
        return self._cluster.volumes.list()

    @hookimpl
    def flow_volume_delete(self, id: str) -> bool:  # noqa: A002 - the contract's word
        return self._cluster.volumes.delete(id)

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        name = _refs.parse(ref)
        if name is None:
            raise NotFoundError(f"there is no task {ref.id}", "see what there is: flow status")
        return self._cluster.folders.access(name.request)


def _queued(task: TaskListing, job: Job) -> QueuedTask:
    waits = job.state == "PENDING"
    return QueuedTask(
        ref=task.ref,
        task_id=task.task_id,
        state="pending" if waits else "running",
        reason=_states.waiting(job.reason) if waits else f"on {job.nodes}",
    )
