"""The provider ``slurm``: one folder a task on the shared file system, one job that runs the runner in it."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs

from flow_core import (
    ConfigError,
    FlowError,
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
    TransientError,
    UnavailableError,
    Volume,
    VolumeSpec,
    hookimpl,
    nodes,
)
from flow_core.hookspecs import NodeHooks, ProvisionHooks, VolumeHooks
from flow_core.settings import options, paths
from flow_core.types import DoctorCheck, QueuedTask, is_request_id
from flow_slurm import (
    _arrays,
    _check,
    _containers,
    _doctor,
    _jobs,
    _machines,
    _offers,
    _refs,
    _script,
    _states,
    _submit,
    _volumes,
)
from flow_slurm._containers import Engine
from flow_slurm._directives import directives
from flow_slurm._folders import Folders, LocalFolders
from flow_slurm._jobs import Job
from flow_slurm._machines import Machines
from flow_slurm._poll import Poll
from flow_slurm._refs import Name
from flow_slurm._remote import SshFolders, SshShell, access
from flow_slurm._settings import PASSED, SlurmOptions, SlurmSettings
from flow_slurm._shell import LocalShell, Shell, environment
from flow_slurm._slurm import Commands, LocalCommands, Slurm
from flow_slurm._volumes import Volumes

_FEW = 20  # tasks; of so few the folders are looked at before Slurm is asked
_MACHINES_EVERY = 60.0
_SAME = 60.0  # seconds between a submit and the note of its job
_STUCK = 20.0  # seconds after a cancel's grace until the job itself is ended
_SAID = re.compile(r"(?:error|^flow): (.*)", re.MULTILINE)
_PASSED_OF_SLURM = ("SLURM*", "CUDA_*", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "TMPDIR")

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
        self._settings = settings

    @cached_property
    def _shell(self) -> Shell:
        if self._settings.ssh is None:
            return LocalShell(self._settings.pass_env)
        return SshShell(self._host, self._settings.prepare)

    @cached_property
    def _slurm(self) -> Slurm:
        settings = self._settings
        if settings.rest is None:
            return LocalCommands(self._shell) if isinstance(self._shell, LocalShell) else Commands(self._shell)
        from flow_slurm._rest import Rest

        return Rest(settings.rest, settings.token, environment(settings.pass_env))

    @cached_property
    def _folders(self) -> Folders:
        if self._settings.rest is not None and not os.path.isdir(os.path.expanduser(self._settings.root)):
            text = (
                f"{self._settings.root} is not here: with slurmrestd this machine must have the cluster's shared folder"
            )
            raise ConfigError(text, "mount it, and set `root:` to a folder there; or use `ssh:`")
        if self._settings.ssh is None:
            return LocalFolders(self._settings.root)
        return SshFolders(self._host, self._settings)

    @cached_property
    def _host(self) -> nodes.SshHost:
        return nodes.open_host(access(self._settings))

    @cached_property
    def _poll(self) -> Poll[dict[str, Job]]:
        return Poll(self._cache / "jobs", self._slurm.jobs, _jobs.parse)

    @property
    def _engine(self) -> Engine | None:
        found = Poll(self._cache / "containers", lambda: _containers.query(self._shell), str, _MACHINES_EVERY)
        return _containers.choose(found.answer()[1], self._settings.containers)

    @cached_property
    def _machines(self) -> Poll[Machines]:
        return Poll(self._cache / "machines", self._slurm.machines, _machines.parse, _MACHINES_EVERY)

    @cached_property
    def _cache(self) -> Path:
        """What this user's processes on this machine know together of this cluster."""
        conf = os.environ.get("SLURM_CONF", "") if self._settings.ssh is None else ""
        cluster = repr(
            (os.getuid(), self._settings.rest, self._settings.ssh, self._settings.jump, self._settings.prepare, conf)
        )
        return paths().state_dir / "slurm" / sha256(cluster.encode()).hexdigest()[:12]

    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        return attrs.evolve(_FACTS, shares_client_files=self._settings.ssh is None)

    @cached_property
    def _volumes(self) -> Volumes:
        return Volumes(self._shell, self._folders.root)

    @hookimpl
    def flow_provision_check(self, config: TaskConfig) -> Sequence[Problem]:
        fit = _check.fit(config, _options(config), self._settings, self._machines.answer()[1])
        contained = [] if config.image is None else _containers.problems(config, self._engine)
        return [*fit.problems, *self._volumes.problems(config), *contained]

    @hookimpl
    def flow_provision_offers(self, request: OfferRequest) -> Sequence[Offer]:
        return _offers.offers(self._machines.answer()[1], request)

    @hookimpl
    def flow_provision_preview(self, submission: Submission) -> Mapping[str, str]:
        argv = [*self._argv(submission, submission.request_id), self._folders.path(submission.request_id) + "/script"]
        return {
            "sbatch": " \\\n    ".join(argv),
            "script": self._script(submission, "RUNNER"),
            "slurm": self._slurm.verdict(argv),
        }

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        request_id = submission.request_id
        if known := self._folders.job(request_id):
            return Name(known[0], request_id).ref
        folder = self._stage(submission)
        argv = [*self._argv(submission, request_id), *_log(f"{folder}/slurm.log"), f"{folder}/script"]
        return Name(self._submitted([submission], folder, argv, request_id), request_id).ref

    def _stage(self, submission: Submission, **files: str) -> str:
        files["script"] = self._script(submission, self._folders.install_runner())
        if used := _volumes.names(submission.config):
            files["volumes"] = "".join(f"{name}\n" for name in used)
        return self._folders.stage(self._completed(submission), files)

    def _submitted(self, submissions: Sequence[Submission], folder: str, argv: Sequence[str], comment: str) -> str:
        try:
            job = self._slurm.submit(folder, argv) or self._found(folder, comment)
            job = job or self._slurm.submit(folder, argv)
        except TransientError:
            raise
        except FlowError:
            for submission in submissions:
                self._folders.remove(submission.request_id)
            raise
        if job is None:
            raise _undecided()
        return job

    def _found(self, folder: str, comment: str) -> str | None:
        """Decide on a submission that another process began, and of which nobody saw the end; None: there is no job."""
        found = sorted(_whole(job.id) for job in self._poll.answer(time.time())[1].values() if job.comment == comment)
        if found:
            _submit.adopt(self._shell, folder, found[0])
            return found[0]
        if _submit.forget(self._shell, folder):
            return None
        raise _undecided()

    @hookimpl
    def flow_provision_submit_many(self, submissions: Sequence[Submission]) -> Mapping[str, TaskRef | Problem]:
        if self._settings.rest is not None:
            return {one.request_id: self.flow_provision_submit(one) for one in submissions}
        known = {one.request_id: self._folders.job(one.request_id) for one in submissions}
        answer: dict[str, TaskRef | Problem] = {r: Name(job[0], r).ref for r, job in known.items() if job}
        asked = [(one, _alike(self._argv(one, ""))) for one in submissions if not known[one.request_id]]
        for group in _arrays.groups(asked):
            answer.update(self._submit_array(group))
        return answer

    def _submit_array(self, group: Sequence[Submission]) -> Mapping[str, TaskRef | Problem]:
        requests = [one.request_id for one in group]
        name = _arrays.name(requests)
        for number, one in enumerate(group):
            self._stage(one, group=f"{name} {number}\n")
        place = f"{self._folders.root}/arrays/{name}"
        script = _arrays.SCRIPT.format(folder=shlex.quote(place), root=shlex.quote(self._folders.root))
        tasks = "".join(f"{request}\n" for request in requests)
        self._folders.stage_array(name, {"script": script, "tasks": tasks})
        argv = [*self._argv(group[0], name), *_log(f"{place}/slurm-%a.log")]
        argv += [f"--array=0-{len(group) - 1}", f"{place}/script"]
        try:
            job = self._submitted(group, place, argv, name)
        except ConfigError as error:
            return {request: Problem("", "REFUSED", error.message, error.hint) for request in requests}
        self._shell.run(_arrays.NAME_ALL, self._folders.root, place, job)
        return {request: Name(f"{job}_{number}", request).ref for number, request in enumerate(requests)}

    def _script(self, submission: Submission, runner: str) -> str:
        return _script.write(submission, self._folders.path(submission.request_id), runner, self._settings.python)

    def _argv(self, submission: Submission, comment: str) -> list[str]:
        config = submission.config
        chosen = submission.options if isinstance(submission.options, SlurmOptions) else _options(config)
        fit = _check.fit(config, chosen, self._settings, self._machines.answer()[1])
        if fit.gres and fit.gres.feature:
            both = [fit.gres.feature, *([f"({chosen.constraint})"] if chosen.constraint else [])]
            chosen = attrs.evolve(chosen, constraint="&".join(both))
        gres = fit.gres.option if fit.gres else None
        return [
            *("sbatch", "--parsable", f"--job-name={submission.bundle.document['name']}", f"--comment={comment}"),
            *directives(config, chosen, gres, fit.longest, list(_conditions(submission))),
        ]

    def _completed(self, submission: Submission) -> Submission:
        """Add to the bundle what only this provider knows."""
        config = submission.config
        document: dict[str, Any] = {
            **submission.bundle.document,
            "env_pass": [*(PASSED if config.image is None else ()), *self._settings.pass_env, *_PASSED_OF_SLURM],
            "rank": {"source": "env", "names": ["SLURM_PROCID"]},
            "preempt": {"kind": "signal"},
        }
        document["mounts"] = list(self._volumes.mounts(config, document["mounts"]))
        document["volumes"] = _volumes.names(config)
        # Slurm limits the job itself.
        document["limits"] = {**document["limits"], "cpus": None, "memory": None}
        if config.image is not None:
            document = self._contained(config, document, self._folders.path(submission.request_id))
        return attrs.evolve(submission, bundle=attrs.evolve(submission.bundle, document=document))

    def _contained(self, config: TaskConfig, document: Mapping[str, Any], folder: str) -> dict[str, Any]:
        engine = self._engine
        if engine is None:
            raise UnavailableError("nothing here runs container images", "see `flow run --dry-run`")
        return engine.completed(config, document, folder)

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]:  # noqa: ARG002
        wanted = [name for name in request_ids if is_request_id(name)]
        if not wanted:
            return {}
        began = time.time()
        jobs = self._poll.answer(began)[1]
        found = {name: [one.ref for one in self._find(name, jobs, began)] for name in wanted}
        for name in wanted:
            if not found[name]:
                self._folders.sweep(name)
        return {name: refs for name, refs in found.items() if refs}

    def _find(self, request_id: str, jobs: Mapping[str, Job], began: float) -> list[Name]:
        array, _, number = self._folders.read(request_id, "group").strip().partition(" ")
        mine = [job for job in jobs.values() if job.comment == request_id]
        mine += [job for job in jobs.values() if array and job.comment == array and job.id.endswith(f"_{number}")]
        ids = [job.id for job in sorted(mine, key=lambda job: job.submitted)]
        known = self._folders.job(request_id)
        # What Slurm has forgotten is there if it has ended, or was accepted while we asked.
        if known and known[0] not in ids and (known[1] >= began or self._has_ended(request_id)):
            ids.insert(0, known[0])
        return [Name(job, request_id) for job in ids]

    def _has_ended(self, request_id: str) -> bool:
        return _states.knows_the_end(self._folders.report(request_id))

    @hookimpl
    def flow_provision_list(self, since: float) -> Sequence[TaskListing]:
        return [task for task in self._folders.listings() if task.created_at >= since]

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        names = {ref: name for ref in refs if (name := _refs.parse(ref)) is not None}
        if not names:
            return {}
        told = self._folders.reports([name.request for name in names.values()]) if len(names) <= _FEW else {}
        if told and all(map(_states.needs_nobody, told.values())):
            return {ref: report for ref, name in names.items() if (report := told[name.request]) is not None}
        try:
            at, known = self._poll.answer()
        except TransientError as error:
            return self._without_slurm(names, told, error)
        jobs = {name: self._believed(name, known.get(name.job)) for name in names.values()}
        told = self._folders.reports([name.request for name, job in jobs.items() if not _waits(job)])
        jobs |= self._accounted([name for name, job in jobs.items() if job is None], told)
        reports = {ref: self._report(name, jobs[name], told.get(name.request), at) for ref, name in names.items()}
        return {ref: report for ref, report in reports.items() if report is not None}

    def _accounted(self, forgotten: Sequence[Name], told: Mapping[str, TaskReport | None]) -> dict[Name, Job | None]:
        """Ask accounting for the jobs that Slurm has forgotten and whose folders have no end."""
        asked = [n for n in forgotten if (node := told.get(n.request)) is not None and not _states.knows_the_end(node)]
        if not asked or self._settings.rest is not None:
            return {}
        found = _jobs.remembered(self._shell, [name.job for name in asked])
        return {name: job for name in asked if (job := found.get(name.job)) and job.is_final and self._is_of(name, job)}

    def _is_of(self, name: Name, job: Job) -> bool:
        """Whether accounting means this task: it keeps comments only where it is told to."""
        if job.comment:
            return self._believed(name, job) is not None
        known = self._folders.job(name.request)
        return known is not None and abs(known[1] - job.submitted) < _SAME

    def _believed(self, name: Name, job: Job | None) -> Job | None:
        """A controller that was killed may have lost the job and given its id to another."""
        if job is None or job.comment == name.request:
            return job
        array = self._folders.read(name.request, "group").partition(" ")[0] if "_" in name.job else ""
        return job if array and job.comment == array else None

    def _without_slurm(
        self, names: Mapping[TaskRef, Name], told: Mapping[str, TaskReport | None], error: TransientError
    ) -> Mapping[TaskRef, TaskReport]:
        """Answer for the nodes while the controller is silent, if they know all that is asked."""
        found = told or self._folders.reports([name.request for name in names.values()])
        reports = {ref: found[name.request] for ref, name in names.items()}
        if any(report is None or not report.attempts for report in reports.values()):
            raise error
        return {ref: report for ref, report in reports.items() if report is not None}

    def _report(self, name: Name, job: Job | None, node: TaskReport | None, at: float) -> TaskReport | None:
        if job is None:
            return self._unknown(name, node, at)
        report = _states.report(job, node, at)
        if report.is_final and (report is not node or _states.was_killed(report)):
            report = attrs.evolve(report, reason=self._explained(name, job, report))
            self._folders.conclude(name.request, report)
        return report

    def _explained(self, name: Name, job: Job, report: TaskReport) -> str:
        """Say more than Slurm does about an end that the runner could not see."""
        if report.state == "cancelled" and self._folders.cancelled_at(name.request) is not None:
            return "cancelled before it started"
        if report.source == "node" and not _states.was_killed(report):
            return report.reason
        log = self._folders.read(name.request, "slurm.log")
        if any("memory" in said.lower() or "oom" in said for said in _SAID.findall(log)):
            return _states.OUT_OF_MEMORY
        said = _SAID.findall(log.rpartition("DUE TO ")[2])  # behind what ended an earlier attempt
        told = f": {said[0]}" if said and job.reason in ("JobLaunchFailure", "NonZeroExitCode") else ""
        return report.reason + (told if report.source != "node" else "")

    def _unknown(self, name: Name, node: TaskReport | None, at: float) -> TaskReport | None:
        if node is None or node.is_final:  # also one that is lost, since Slurm has forgotten it
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
        if _states.knows_the_end(report) or not self._folders.cancel(name.request, grace_seconds):
            return False
        stuck = asked is not None and time.time() - asked > grace_seconds + _STUCK
        self._slurm.cancel(name.job, stuck)
        return True

    @hookimpl
    def flow_provision_queue(self) -> Sequence[QueuedTask]:
        jobs = self._poll.answer()[1]
        tasks = [(task, name) for task in self._folders.listings() if (name := _refs.parse(task.ref)) is not None]
        live = [(task, job) for task, name in tasks if (job := self._believed(name, jobs.get(name.job))) is not None]
        found = [_queued(task, job) for task, job in live if not job.is_final]
        return sorted(found, key=lambda one: one.state != "running")

    @hookimpl
    def flow_provider_checks(self) -> Sequence[DoctorCheck]:
        if self._settings.rest is None:
            return list(_doctor.checks(self._shell, self._settings))
        return list(_doctor.rest_checks(self._slurm.about, lambda: self._folders.root))

    @hookimpl
    def flow_volume_create(self, spec: VolumeSpec, request_id: str) -> Volume:
        return self._volumes.create(spec, request_id)

    @hookimpl
    def flow_volume_list(self) -> Sequence[Volume]:
        return self._volumes.list()

    @hookimpl
    def flow_volume_delete(self, id: str) -> bool:  # noqa: A002 - the contract's word
        return self._volumes.delete(id)

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        name = _refs.parse(ref)
        if name is None:
            raise NotFoundError(f"there is no task {ref.id}", "see what there is: flow status")
        return self._folders.access(name.request)


def _waits(job: Job | None) -> bool:
    return job is not None and job.state == "PENDING" and not job.restarts


def _undecided() -> TransientError:
    text = "an earlier command was submitting this task, and Slurm may still be reading what it sent"
    return TransientError(text, "see `flow status`", retry_after=float(_submit.SETTLED))


def _whole(job: str) -> str:
    return job.partition("_")[0]


def _alike(argv: Sequence[str]) -> tuple[str, ...]:
    """What must be the same in one array: all but the name, which is then that of the first."""
    return tuple(word for word in argv if not word.startswith("--job-name="))


def _log(path: str) -> list[str]:
    return [f"--output={path}", "--open-mode=append"]


def _options(config: TaskConfig) -> SlurmOptions:
    return options(SlurmOptions, config.options.get("slurm", {}), "options.slurm")


def _queued(task: TaskListing, job: Job) -> QueuedTask:
    waits = job.state == "PENDING"
    return QueuedTask(
        ref=task.ref,
        task_id=task.task_id,
        state="pending" if waits else "running",
        reason=_states.waiting(job.reason) if waits else f"on {job.nodes}",
    )


def _conditions(submission: Submission) -> Iterator[str]:
    """Yield what must have happened first."""
    after = submission.bundle.document["depends_on"]
    assert isinstance(after, Sequence)
    for one in after:
        name = _refs.parse(TaskRef(str(one["ref"])))
        if name is not None:
            yield f"{'afterany' if one['any'] else 'afterok'}:{name.job}"
