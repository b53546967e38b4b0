"""What became of tasks: the word of their folders, of Slurm, and of both together."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

import attrs

from flow_core import TaskRef, TaskReport, TransientError
from flow_slurm import _jobs, _refs, _states
from flow_slurm._cluster import Cluster
from flow_slurm._jobs import Job
from flow_slurm._refs import Name

_FEW = 20  # tasks; of so few the folders are looked at before Slurm is asked
_SAME = 60.0  # seconds between a submit and the note of its job
_SAID = re.compile(r"(?:error|^flow): (.*)", re.MULTILINE)


class Reports:
    """Of the tasks of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def find(self, request_ids: Sequence[str]) -> dict[str, Sequence[TaskRef]]:
        """Return every job of each request, oldest first; what was staged long ago and never submitted is removed."""
        if not request_ids:
            return {}
        began = time.time()
        jobs = self._cluster.jobs.answer(began)[1]
        found = {name: [one.ref for one in self._find(name, jobs, began)] for name in request_ids}
        for name in request_ids:
            if not found[name]:
                self._cluster.folders.sweep(name)
        return {name: refs for name, refs in found.items() if refs}

    def _find(self, request_id: str, jobs: Mapping[str, Job], began: float) -> list[Name]:
        array, _, number = self._cluster.folders.read(request_id, "group").strip().partition(" ")
        mine = [job for job in jobs.values() if job.comment == request_id]
        mine += [job for job in jobs.values() if array and job.comment == array and job.id.endswith(f"_{number}")]
        ids = [job.id for job in sorted(mine, key=lambda job: job.submitted)]
        known = self._cluster.folders.job(request_id)
        # What Slurm has forgotten is there if it has ended, or was accepted while we asked.
        if known and known[0] not in ids and (known[1] >= began or self._has_ended(request_id)):
            ids.insert(0, known[0])
        return [Name(job, request_id) for job in ids]

    def _has_ended(self, request_id: str) -> bool:
        return _states.knows_the_end(self._cluster.folders.report(request_id))

    def status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        """Return the reports of those that are known."""
        names = {ref: name for ref in refs if (name := _refs.parse(ref)) is not None}
        if not names:
            return {}
        told = self._cluster.folders.reports([name.request for name in names.values()]) if len(names) <= _FEW else {}
        if told and all(map(_states.needs_nobody, told.values())):
            return {ref: report for ref, name in names.items() if (report := told[name.request]) is not None}
        try:
            at, known = self._cluster.jobs.answer()
        except TransientError as error:
            return self._without_slurm(names, told, error)
        jobs = {name: self.believed(name, known.get(name.job)) for name in names.values()}
        told = self._cluster.folders.reports([name.request for name, job in jobs.items() if not _waits(job)])
        jobs |= self._accounted([name for name, job in jobs.items() if job is None], told)
        reports = {ref: self._report(name, jobs[name], told.get(name.request), at) for ref, name in names.items()}
        return {ref: report for ref, report in reports.items() if report is not None}

    def _accounted(self, forgotten: Sequence[Name], told: Mapping[str, TaskReport | None]) -> dict[Name, Job | None]:
        """Ask accounting for the jobs that Slurm has forgotten and whose folders have no end."""
        asked = [n for n in forgotten if (node := told.get(n.request)) is not None and not _states.knows_the_end(node)]
        if not asked or self._cluster.settings.rest is not None:
            return {}
        found = _jobs.remembered(self._cluster.shell, [name.job for name in asked])
        return {name: job for name in asked if (job := found.get(name.job)) and job.is_final and self._is_of(name, job)}

    def _is_of(self, name: Name, job: Job) -> bool:
        """Whether accounting means this task: it keeps comments only where it is told to."""
        if job.comment:
            return self.believed(name, job) is not None
        known = self._cluster.folders.job(name.request)
        return known is not None and abs(known[1] - job.submitted) < _SAME

    def believed(self, name: Name, job: Job | None) -> Job | None:
        """A controller that was killed may have lost the job and given its id to another."""
        if job is None or job.comment == name.request:
            return job
        array = self._cluster.folders.read(name.request, "group").partition(" ")[0] if "_" in name.job else ""
        return job if array and job.comment == array else None

    def _without_slurm(
        self, names: Mapping[TaskRef, Name], told: Mapping[str, TaskReport | None], error: TransientError
    ) -> Mapping[TaskRef, TaskReport]:
        """Answer for the nodes while the controller is silent, if they know all that is asked."""
        found = told or self._cluster.folders.reports([name.request for name in names.values()])
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
            self._cluster.folders.conclude(name.request, report)
        return report

    def _explained(self, name: Name, job: Job, report: TaskReport) -> str:
        """Say more than Slurm does about an end that the runner could not see."""
        if report.state == "cancelled" and self._cluster.folders.cancelled_at(name.request) is not None:
            return _states.NEVER_STARTED
        if report.source == "node" and not _states.was_killed(report):
            return report.reason
        log = self._cluster.folders.read(name.request, "slurm.log")
        if any("memory" in said.lower() or "oom" in said for said in _SAID.findall(log)):
            return _states.OUT_OF_MEMORY
        said = _SAID.findall(log.rpartition("DUE TO ")[2])  # behind what ended an earlier attempt
        told = f": {said[0]}" if said and job.reason in ("JobLaunchFailure", "NonZeroExitCode") else ""
        return report.reason + (told if report.source != "node" else "")

    def _unknown(self, name: Name, node: TaskReport | None, at: float) -> TaskReport | None:
        if node is None or node.is_final:  # also one that is lost, since Slurm has forgotten it
            return node
        known = self._cluster.folders.job(name.request)
        if known and known[1] >= at - 1:
            return _states.accepted()
        asked = None if node.attempts else self._cluster.folders.cancelled_at(name.request)
        return self._never_started(name, at) if asked is not None and asked < at else None

    def _never_started(self, name: Name, at: float) -> TaskReport:
        """An element of an array that is cancelled while it waits leaves no trace in Slurm."""
        report = TaskReport("cancelled", _states.NEVER_STARTED, observed_at=at)
        self._cluster.folders.conclude(name.request, report)
        return report


def _waits(job: Job | None) -> bool:
    return job is not None and job.state == "PENDING" and not job.restarts
