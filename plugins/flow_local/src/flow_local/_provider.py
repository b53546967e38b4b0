"""The provider ``local``: one folder a task, run by a supervisor that starts with the first task and ends after the last."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import attrs

from flow_core import (
    FlowError,
    NodeAccess,
    NotFoundError,
    Offer,
    OfferRequest,
    Problem,
    ProviderFacts,
    StateError,
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
from flow_core.settings import paths
from flow_core.types import FINAL_STATES, DoctorCheck, QueuedTask, SecretBox
from flow_local import _check, _doctor, _vault
from flow_local._engines import INSTALL, Engine, find
from flow_local._machine import Machine, cores, detect
from flow_local._settings import LocalSettings
from flow_local._volumes import Volumes

PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
    *("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "LD_LIBRARY_PATH"),
)
"""The variables of the submitting shell that every task sees; ``pass_env`` adds more."""

_MANY = 20  # tasks; of fewer each folder is looked at
_TOGETHER = 50  # tasks staged between two calls of the queue

_PAUSE, _PATIENCE = 0.001, 0.5  # seconds: who serves needs less to put a task away, unless it left much behind

_FACTS = ProviderFacts(
    shares_client_files=True,
    dependencies=True,
    multi_node=True,
    services=True,
    images=True,
    separate_streams=True,
    restarts_by_itself=True,
    prompt=True,
    min_poll_seconds=0.05,
)


class LocalProvider(ProvisionHooks, NodeHooks, VolumeHooks):
    """Runs tasks as processes of this machine, in a queue without a daemon."""

    Settings = LocalSettings

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self._root = (settings.root or paths().state_dir / "local").expanduser()
        self._volumes = Volumes(self._root)

    @cached_property
    def _machine(self) -> Machine:
        return detect(self._root)

    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        return _FACTS

    @hookimpl
    def flow_provision_check(self, config: TaskConfig) -> Sequence[Problem]:
        if _claims_nothing(config):
            return []
        found = self._problems(config)
        if all(problem.severity != "error" for problem in found):
            return found
        self._machine = detect()  # what was remembered may be what is wrong
        return self._problems(config)

    def _problems(self, config: TaskConfig) -> list[Problem]:
        return [*_check.problems(config, self._machine, self._volumes, Path.cwd()), *self._image_problems(config)]

    def _image_problems(self, config: TaskConfig) -> Iterator[Problem]:
        if config.image is not None and isinstance(self._engine, str):
            yield Problem("image", "NO_ENGINE", f"nothing here can run container images: {self._engine}", INSTALL)

    @cached_property
    def _engine(self) -> Engine | str:
        return find(self._settings.container_engine)

    @hookimpl
    def flow_provision_offers(self, request: OfferRequest) -> Sequence[Offer]:
        machine = self._machine
        kinds = sorted({gpu.kind for gpu in machine.gpus})
        found = [self._offer(machine, kind) for kind in kinds or [""]]
        wanted = request.resources.gpu
        return [offer for offer in found if wanted in (None, offer.gpu)]

    def _offer(self, machine: Machine, kind: str) -> Offer:
        gpus = [gpu for gpu in machine.gpus if gpu.kind == kind]
        return Offer(
            instance_type=f"{len(gpus)}x{kind}" if gpus else f"{machine.cpus}xcpu",
            gpu=kind,
            gpu_count=len(gpus),
            gpu_memory=min((gpu.memory for gpu in gpus), default=None),
            cpus=machine.cpus,
            memory=machine.memory,
            total=1,
            note="this machine",
        )

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        ref = self._stage(submission)
        self._call(ref.id)  # where it cannot be called now the task is accepted all the same, and its status says why
        return ref

    @hookimpl
    def flow_provision_submit_many(self, submissions: Sequence[Submission]) -> Mapping[str, TaskRef | Problem]:
        """Stage all, and call the queue for many together: it starts the first while the others are staged."""
        staged: dict[str, TaskRef | Problem] = {}
        for submission in submissions:
            try:
                staged[submission.request_id] = self._stage(submission)
            except FlowError as error:
                staged[submission.request_id] = Problem("", "NOT_STAGED", error.message, error.hint)
            if len(staged) % _TOGETHER == 1:
                self._call()
        self._call()
        return staged

    def _stage(self, submission: Submission) -> TaskRef:
        """Make the task's folder, unless it was made before; the queue runs it once it is called."""
        if nodes.locate(self._root, submission.request_id) is None:
            self._describe_machine(submission.config)
            nodes.stage(self._root / "tasks", self._completed(submission), self._environment(submission.config))
        return TaskRef(submission.request_id)

    def _completed(self, submission: Submission) -> Submission:
        """Add to the bundle what only this provider knows: where volumes are and what the task claims."""
        config, document = submission.config, dict(submission.bundle.document)
        limits = document["limits"]
        assert isinstance(limits, Mapping)
        kind, gpus = _check.gpus_wanted(config)
        gpu = {"gpu_count": gpus, "gpu_kind": kind, "gpu_memory": config.resources.gpu_memory}
        document["limits"] = {**limits, "cpus": _check.cpus_wanted(config), **gpu}
        document["mounts"] = list(self._mounts(submission))
        if config.image is not None:
            document["image"] = self._image(config.image)
        document["volumes"] = volumes = _check.volumes_of(config)
        keys = {name: key for name in volumes if (key := self._volumes.key_of(name))}
        values = {key: _vault.key(key, name) for name, key in keys.items()}
        secrets = SecretBox({**submission.bundle.secrets.values, **values})
        return attrs.evolve(submission, bundle=attrs.evolve(submission.bundle, document=document, secrets=secrets))

    def _mounts(self, submission: Submission) -> Iterator[Mapping[str, object]]:
        mounts = submission.bundle.document["mounts"]
        assert isinstance(mounts, Sequence)
        for mount in mounts:
            source = str(mount["source"])
            if source.startswith("volume:"):
                yield self._volumes.mount(source.removeprefix("volume:"), mount["target"], mount["read_only"])
            elif source != mount["target"] or mount["read_only"] or submission.config.image is not None:
                yield mount
        for spec in submission.config.volumes:
            yield self._volumes.mount(spec.name, spec.target, spec.read_only)

    def _image(self, reference: str) -> Mapping[str, object]:
        if isinstance(self._engine, str):
            raise UnavailableError(f"nothing here can run container images: {self._engine}", INSTALL)
        return self._engine.document(reference)

    def _environment(self, config: TaskConfig) -> dict[str, str]:
        """What a task sees of the submitting shell; in a container only what the profile names."""
        names = (*(() if config.image is not None else PASSED), *self._settings.pass_env)
        return {name: value for name in names if (value := os.environ.get(name)) is not None}

    def _describe_machine(self, config: TaskConfig) -> None:
        """Tell the supervisor what there is to give out; GPUs are looked for when the first task asks for one."""
        gpus = _check.gpus_wanted(config)[1] > 0
        found: dict[str, object] = {"cpus": cores(), "max_tasks": self._settings.max_tasks}
        if gpus or config.resources.memory:
            found["memory"] = self._machine.memory
        if gpus:
            found["gpus"] = [{"id": gpu.id, "name": gpu.kind, "memory": gpu.memory} for gpu in self._machine.gpus]
        nodes.describe_machine(self._root, found)

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]:  # noqa: ARG002
        nodes.sweep(self._root / "tasks")  # what those had begun that were killed: it may hold code and secrets
        return {name: [TaskRef(name)] for name in request_ids if nodes.locate(self._root, name)}

    @hookimpl
    def flow_provision_list(self, since: float) -> Sequence[TaskListing]:
        folders = [*self._root.glob("tasks/flow-*"), *self._root.glob("done/*/flow-*")]
        return [task for task in self._listings(folders) if task.created_at >= since]

    def _listings(self, folders: Sequence[Path]) -> Iterator[TaskListing]:
        for folder in folders:
            with suppress(NotFoundError):  # it was removed between the two looks
                yield nodes.listing(folder)

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        trouble = self._call() if nodes.is_abandoned(self._root) else ""  # whoever ran them may have been killed
        waiting = nodes.waiting_reports(self._root, [ref.id for ref in refs]) if len(refs) > _MANY else {}
        reports = {ref: waiting.get(ref.id) or self._report(ref) for ref in refs}
        self._see_away(ref.id for ref, report in reports.items() if report and report.state in FINAL_STATES)
        return {ref: _troubled(report, trouble) for ref, report in reports.items() if report is not None}

    def _call(self, request_id: str = "") -> str:
        """Have the queue run what is staged; return why it cannot: a full disk keeps nobody from looking."""
        try:
            nodes.serve(self._root, request_id)
        except (StateError, TransientError) as error:
            return error.message
        return ""

    def _see_away(self, ended: Iterable[str]) -> None:
        """Have what ended put away: a server that was killed in the middle of that seems to serve until it is gone."""
        deadline = time.monotonic() + _PATIENCE
        for request_id in ended:
            while (self._root / "tasks" / request_id).exists() and time.monotonic() < deadline:
                if nodes.is_abandoned(self._root):
                    self._call()
                    return
                time.sleep(_PAUSE)

    def _report(self, ref: TaskRef) -> TaskReport | None:
        for _ in range(3):  # the folder moves when the task ends
            folder = nodes.locate(self._root, ref.id)
            if folder is None:
                return None
            try:
                return nodes.report(folder)
            except NotFoundError:
                continue
        return None

    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        going = nodes.cancel(self._folder(ref), grace_seconds)
        nodes.serve(self._root, ref.id)
        return going

    @hookimpl
    def flow_provision_queue(self) -> Sequence[QueuedTask]:
        if nodes.is_abandoned(self._root):
            nodes.serve(self._root)
        return nodes.queue(self._root)

    @hookimpl
    def flow_provider_checks(self) -> Sequence[DoctorCheck]:
        return list(_doctor.checks(self._machine, self._volumes.root))

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        folder = self._folder(ref)
        return [NodeAccess(rank=rank, kind="folder", path=str(folder)) for rank in range(nodes.size(folder))]

    def _folder(self, ref: TaskRef) -> Path:
        folder = nodes.locate(self._root, ref.id)
        if folder is None:
            raise NotFoundError(f"this machine has no task {ref.id}", f"its folder should be in {self._root}")
        return folder

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
    def flow_volume_snapshot(self, id: str, name: str) -> Volume:  # noqa: A002 - the contract's word
        return self._volumes.snapshot(id, name, self._settings.snapshot_copies)


def _claims_nothing(config: TaskConfig) -> bool:
    """Whether there is nothing to look at this machine for."""
    asked = (config.instance_type, config.image, config.mounts, config.volumes)
    return not any(asked) and not any(attrs.astuple(config.resources))


def _troubled(report: TaskReport, trouble: str) -> TaskReport:
    return attrs.evolve(report, reason=trouble) if trouble and report.state == "pending" else report
