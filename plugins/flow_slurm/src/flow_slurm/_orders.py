"""Submitting: the folder first, then the job, once."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from flow_core import ConfigError, FlowError, Problem, Submission, TaskConfig, TaskRef, TransientError, UnavailableError
from flow_core.settings import options
from flow_slurm import _arrays, _check, _refs, _script, _submit, _volumes
from flow_slurm._cluster import Cluster
from flow_slurm._directives import directives
from flow_slurm._refs import Name
from flow_slurm._settings import PASSED, SlurmOptions

_PASSED_OF_SLURM = ("SLURM*", "CUDA_*", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "TMPDIR")


class Orders:
    """What is submitted to one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def submit(self, submission: Submission) -> TaskRef:
        """Submit a task, or find that it was."""
        request_id = submission.request_id
        if known := self._cluster.folders.job(request_id):
            return Name(known[0], request_id).ref
        folder = self._stage(submission)
        argv = [*self.argv(submission, request_id), *_log(f"{folder}/slurm.log"), f"{folder}/script"]
        return Name(self._submitted([submission], folder, argv, request_id), request_id).ref

    def _stage(self, submission: Submission, **files: str) -> str:
        files["script"] = self.script(submission, self._cluster.folders.install_runner())
        if used := _volumes.names(submission.config):
            files["volumes"] = "".join(f"{name}\n" for name in used)
        return self._cluster.folders.stage(self._completed(submission), files)

    def _submitted(self, submissions: Sequence[Submission], folder: str, argv: Sequence[str], comment: str) -> str:
        try:
            job = self._cluster.slurm.submit(folder, argv) or self._found(folder, comment)
            job = job or self._cluster.slurm.submit(folder, argv)
        except TransientError:
            raise
        except FlowError:
            for submission in submissions:
                self._cluster.folders.remove(submission.request_id)
            raise
        if job is None:
            raise _undecided()
        return job

    def _found(self, folder: str, comment: str) -> str | None:
        """Decide on a submission that another process began, and of which nobody saw the end; None: there is no job."""
        found = sorted(
            _whole(job.id) for job in self._cluster.jobs.answer(time.time())[1].values() if job.comment == comment
        )
        if found:
            _submit.adopt(self._cluster.shell, folder, found[0])
            return found[0]
        if _submit.forget(self._cluster.shell, folder):
            return None
        raise _undecided()

    def submit_many(self, submissions: Sequence[Submission]) -> Mapping[str, TaskRef | Problem]:
        """Submit tasks, those that ask the same of Slurm as one array."""
        known = {one.request_id: self._cluster.folders.job(one.request_id) for one in submissions}
        answer: dict[str, TaskRef | Problem] = {r: Name(job[0], r).ref for r, job in known.items() if job}
        asked = [(one, _alike(self.argv(one, ""))) for one in submissions if not known[one.request_id]]
        for group in _arrays.groups(asked):
            answer.update(self._submit_array(group))
        return answer

    def _submit_array(self, group: Sequence[Submission]) -> Mapping[str, TaskRef | Problem]:
        requests = [one.request_id for one in group]
        name = _arrays.name(requests)
        for number, one in enumerate(group):
            self._stage(one, group=f"{name} {number}\n")
        place = f"{self._cluster.folders.root}/arrays/{name}"
        script = _arrays.SCRIPT.format(folder=shlex.quote(place), root=shlex.quote(self._cluster.folders.root))
        tasks = "".join(f"{request}\n" for request in requests)
        self._cluster.folders.stage_array(name, {"script": script, "tasks": tasks})
        argv = [*self.argv(group[0], name), *_log(f"{place}/slurm-%a.log")]
        argv += [f"--array=0-{len(group) - 1}", f"{place}/script"]
        try:
            job = self._submitted(group, place, argv, name)
        except ConfigError as error:
            return {request: Problem("", "REFUSED", error.message, error.hint) for request in requests}
        self._cluster.shell.run(_arrays.NAME_ALL, self._cluster.folders.root, place, job)
        return {request: Name(f"{job}_{number}", request).ref for number, request in enumerate(requests)}

    def script(self, submission: Submission, runner: str) -> str:
        """Return the batch script; ``runner`` is where that lies."""
        return _script.write(
            submission, self._cluster.folders.path(submission.request_id), runner, self._cluster.settings.python
        )

    def argv(self, submission: Submission, comment: str) -> list[str]:
        """Return the call of sbatch, but for its script and where that writes."""
        config = submission.config
        chosen = submission.options if isinstance(submission.options, SlurmOptions) else chosen_options(config)
        fit = _check.fit(config, chosen, self._cluster.settings, self._cluster.machines.answer()[1])
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
            "env_pass": [
                *(PASSED if config.image is None else ()),
                *self._cluster.settings.pass_env,
                *_PASSED_OF_SLURM,
            ],
            "rank": {"source": "env", "names": ["SLURM_PROCID"]},
            "preempt": {"kind": "signal"},
        }
        document["mounts"] = list(self._cluster.volumes.mounts(config, document["mounts"]))
        document["volumes"] = _volumes.names(config)
        # Slurm limits the job itself.
        document["limits"] = {**document["limits"], "cpus": None, "memory": None}
        if config.image is not None:
            document = self._contained(config, document, self._cluster.folders.path(submission.request_id))
        return attrs.evolve(submission, bundle=attrs.evolve(submission.bundle, document=document))

    def _contained(self, config: TaskConfig, document: Mapping[str, Any], folder: str) -> dict[str, Any]:
        engine = self._cluster.engine
        if engine is None:
            raise UnavailableError("nothing here runs container images", "see `flow run --dry-run`")
        return engine.completed(config, document, folder)


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


def _conditions(submission: Submission) -> Iterator[str]:
    """Yield what must have happened first."""
    after = submission.bundle.document["depends_on"]
    assert isinstance(after, Sequence)
    for one in after:
        name = _refs.parse(TaskRef(str(one["ref"])))
        if name is not None:
            yield f"{'afterany' if one['any'] else 'afterok'}:{name.job}"


def chosen_options(config: TaskConfig) -> SlurmOptions:
    """Return what a task asks of Slurm itself. Raises ConfigError."""
    return options(SlurmOptions, config.options.get("slurm", {}), "options.slurm")
