"""The provider ``slurm``: one folder a task on the shared file system, one job that runs the runner in it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import attrs

from flow_core import (
    NodeAccess,
    NotFoundError,
    Problem,
    ProviderFacts,
    Submission,
    TaskConfig,
    TaskListing,
    TaskRef,
    TaskReport,
    TransientError,
    hookimpl,
)
from flow_core.hookspecs import NodeHooks, ProvisionHooks
from flow_core.settings import options, paths
from flow_core.types import is_request_id
from flow_slurm import _check, _jobs, _machines, _refs, _script, _states, _submit
from flow_slurm._directives import directives
from flow_slurm._folders import LocalFolders
from flow_slurm._jobs import Job
from flow_slurm._machines import Machines
from flow_slurm._poll import Poll
from flow_slurm._refs import Name
from flow_slurm._settings import PASSED, SlurmOptions, SlurmSettings
from flow_slurm._shell import LocalShell

_FEW = 20  # tasks; of so few the folders are looked at before Slurm is asked
_MACHINES_EVERY = 60.0
_STUCK = 20.0  # seconds after a cancel's grace until the job itself is ended
_PASSED_OF_SLURM = ("SLURM_*", "CUDA_*", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "TMPDIR")

_FACTS = ProviderFacts(
    shares_client_files=True,
    dependencies=True,
    arrays=True,
    multi_node=True,
    services=True,
    separate_streams=True,
    restarts_by_itself=True,
    settle_seconds=30.0,
    min_poll_seconds=1.0,
)


class SlurmProvider(ProvisionHooks, NodeHooks):
    """Runs tasks as jobs of a Slurm cluster."""

    Settings = SlurmSettings
    Options = SlurmOptions

    def __init__(self, settings: SlurmSettings) -> None:
        self._settings = settings
        self._shell = LocalShell(settings.pass_env)
        self._folders = LocalFolders(settings.root)

    @cached_property
    def _poll(self) -> Poll:
        return Poll(self._cache / "jobs", lambda: _jobs.query(self._shell))

    @cached_property
    def _cache(self) -> Path:
        """What this user's processes on this machine know together of this cluster."""
        cluster = repr((os.getuid(), os.environ.get("SLURM_CONF", "")))
        return paths().state_dir / "slurm" / sha256(cluster.encode()).hexdigest()[:12]

    @cached_property
    def _machines(self) -> Machines:
        poll = Poll(self._cache / "machines", lambda: _machines.query(self._shell), _MACHINES_EVERY)
        return _machines.parse(poll.answer()[1])

    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        return _FACTS

    @hookimpl
    def flow_provision_check(self, config: TaskConfig) -> Sequence[Problem]:
        return _check.fit(config, _options(config), self._settings, self._machines).problems

    @hookimpl
    def flow_provision_preview(self, submission: Submission) -> Mapping[str, str]:
        script = self._script(submission, "RUNNER")
        return {"sbatch": " \\\n    ".join(self._argv(submission)), "script": script}

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        request_id = submission.request_id
        if known := self._folders.job(request_id):
            return Name(known[0], request_id).ref
        script = self._script(submission, self._folders.install_runner())
        folder = self._folders.stage(self._completed(submission), script)
        job = self._submitted(folder, submission)
        return Name(job, request_id).ref

    def _submitted(self, folder: str, submission: Submission) -> str:
        try:
            job = _submit.submit(self._shell, folder, self._argv(submission))
        except TransientError:
            raise
        except Exception:
            self._folders.remove(submission.request_id)
            raise
        return job or self._found(folder, submission)

    def _found(self, folder: str, submission: Submission) -> str:
        """Decide on a submission that another process began, and of which nobody saw the end."""
        found = self._find(submission.request_id, self._fresh_jobs())
        if not found:
            raise TransientError("an earlier command was submitting this task", "see `flow status`")
        _submit.adopt(self._shell, folder, found[0].job)
        return found[0].job

    def _script(self, submission: Submission, runner: str) -> str:
        return _script.write(submission, runner, self._settings.python, [self._folders.path(submission.request_id)])

    def _argv(self, submission: Submission) -> list[str]:
        config = submission.config
        chosen = submission.options if isinstance(submission.options, SlurmOptions) else _options(config)
        fit = _check.fit(config, chosen, self._settings, self._machines)
        if fit.gres and fit.gres.feature:
            both = [fit.gres.feature, *([f"({chosen.constraint})"] if chosen.constraint else [])]
            chosen = attrs.evolve(chosen, constraint="&".join(both))
        gres = fit.gres.option if fit.gres else None
        folder = self._folders.path(submission.request_id)
        return [
            *("sbatch", "--parsable", f"--job-name={submission.bundle.document['name']}"),
            *(f"--comment={submission.request_id}", f"--chdir={folder}", f"--output={folder}/slurm.log"),
            "--open-mode=append",
            *directives(config, chosen, gres, fit.longest, list(_conditions(submission))),
            f"{folder}/script",
        ]

    def _completed(self, submission: Submission) -> Submission:
        """Add to the bundle what only this provider knows."""
        document = {
            **submission.bundle.document,
            "env_pass": [*PASSED, *self._settings.pass_env, *_PASSED_OF_SLURM],
            "rank": {"source": "env", "names": ["SLURM_PROCID"]},
            "preempt": {"kind": "signal"},
        }
        limits = document["limits"]
        assert isinstance(limits, Mapping)
        # Slurm limits the job itself.
        document["limits"] = {**limits, "cpus": None, "memory": None}
        return attrs.evolve(submission, bundle=attrs.evolve(submission.bundle, document=document))

    def _fresh_jobs(self) -> dict[str, Job]:
        return _jobs.parse(self._poll.answer(time.time())[1])

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]:  # noqa: ARG002
        wanted = [name for name in request_ids if is_request_id(name)]
        if not wanted:
            return {}
        jobs = self._fresh_jobs()
        found = {name: [one.ref for one in self._find(name, jobs)] for name in wanted}
        for name in wanted:
            if not found[name]:
                self._folders.sweep(name)
        return {name: refs for name, refs in found.items() if refs}

    def _find(self, request_id: str, jobs: Mapping[str, Job]) -> list[Name]:
        mine = sorted((job for job in jobs.values() if job.comment == request_id), key=lambda job: job.submitted)
        ids = [job.id for job in mine]
        known = self._folders.job(request_id)
        if known and known[0] not in ids:
            ids.insert(0, known[0])
        return [Name(job, request_id) for job in ids]

    @hookimpl
    def flow_provision_list(self, since: float) -> Sequence[TaskListing]:
        return [task for task in self._folders.listings() if task.created_at >= since]

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        names = {ref: name for ref in refs if (name := _refs.parse(ref)) is not None}
        if not names:
            return {}
        told = self._folders.reports([name.request for name in names.values()]) if len(names) <= _FEW else {}
        if told and all(report is not None and report.is_final for report in told.values()):
            return {ref: report for ref, name in names.items() if (report := told[name.request]) is not None}
        try:
            at, answer = self._poll.answer()
        except TransientError as error:
            return self._without_slurm(names, told, error)
        jobs = _jobs.parse(answer)
        reports = {ref: self._report(name, jobs.get(name.job), at) for ref, name in names.items()}
        return {ref: report for ref, report in reports.items() if report is not None}

    def _without_slurm(
        self, names: Mapping[TaskRef, Name], told: Mapping[str, TaskReport | None], error: TransientError
    ) -> Mapping[TaskRef, TaskReport]:
        """Answer for the nodes while the controller is silent, if they know all that is asked."""
        found = told or self._folders.reports([name.request for name in names.values()])
        reports = {ref: found[name.request] for ref, name in names.items()}
        if any(report is None or not report.attempts for report in reports.values()):
            raise error
        return {ref: report for ref, report in reports.items() if report is not None}

    def _report(self, name: Name, job: Job | None, at: float) -> TaskReport | None:
        if job is not None and job.comment != name.request:
            job = None  # the controller has lost ours and given its id away
        waits = job is not None and job.state == "PENDING" and not job.restarts
        node = None if waits else self._folders.report(name.request)
        if job is None:
            return self._unknown(name, node, at)
        report = _states.report(job, node, at)
        if report.is_final and report is not node:
            if report.state == "cancelled" and self._folders.cancelled_at(name.request) is not None:
                report = attrs.evolve(report, reason="cancelled before it started")
            self._folders.conclude(name.request, report)
        return report

    def _unknown(self, name: Name, node: TaskReport | None, at: float) -> TaskReport | None:
        if node is None or node.is_final:
            return node
        known = self._folders.job(name.request)
        return _states.accepted() if known and known[1] >= at - 1 else None

    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        name = _refs.parse(ref)
        report = None if name is None else self._folders.report(name.request)
        if name is None or report is None:
            raise NotFoundError(f"there is no task {ref.id}", "see what there is: flow status")
        asked = self._folders.cancelled_at(name.request)
        if report.is_final or not self._folders.cancel(name.request, grace_seconds):
            return False
        stuck = asked is not None and time.time() - asked > grace_seconds + _STUCK
        self._shell.run('exec scancel $1 "$2"', "" if stuck else "--state=PENDING", name.job)
        return True

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        name = _refs.parse(ref)
        if name is None:
            raise NotFoundError(f"there is no task {ref.id}", "see what there is: flow status")
        return self._folders.access(name.request)


def _options(config: TaskConfig) -> SlurmOptions:
    return options(SlurmOptions, config.options.get("slurm", {}), "options.slurm")


def _conditions(submission: Submission) -> Iterator[str]:
    """Yield what must have happened first."""
    after = submission.bundle.document["depends_on"]
    assert isinstance(after, Sequence)
    for one in after:
        name = _refs.parse(TaskRef(str(one["ref"])))
        if name is not None:
            yield f"{'afterany' if one['any'] else 'afterok'}:{name.job}"
