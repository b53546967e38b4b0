"""What Slurm's word on a job means for its task, beside what the task's own folder says."""

from __future__ import annotations

import re
import time

import attrs

from flow_core import Attempt, TaskReport
from flow_slurm._jobs import ACCOUNTED, Job

_SETTLING = 10.0  # seconds after the end of a job in which its folder may still be on its way over the network
_KILLED = 137
NEVER_STARTED = "cancelled before it started"
OUT_OF_MEMORY = "killed for memory: raise `memory:`"
_STATES = {
    "COMPLETED": ("succeeded", "exit code 0"),
    "CANCELLED": ("cancelled", "cancelled by scancel"),
    "TIMEOUT": ("timed_out", "Slurm's time limit was reached: raise `time_limit:`, or `time:` in the slurm section"),
    "DEADLINE": ("timed_out", "its deadline passed"),
    "PREEMPTED": ("preempted", "a job of higher priority took the nodes"),
    "OUT_OF_MEMORY": ("failed", OUT_OF_MEMORY),
    "NODE_FAIL": ("failed", "a node failed under it ({nodes}): submit it again"),
    "BOOT_FAIL": ("failed", "its nodes did not boot ({nodes}): submit it again"),
    "REVOKED": ("failed", "the job was taken over by another cluster"),
}
_OPEN = ("running", "pending", "lost")
_FAILED = {
    ACCOUNTED: "it failed, says accounting, which does not know its exit code",
    "NonZeroExitCode": "exit code {code}",
    "JobLaunchFailure": "it was killed or could not be started on {nodes}",
}
_NEVER = "it will never start: cancel it"
_WAITING = {
    "None": "waits until Slurm looks at it",
    "Resources": "waits for free nodes",
    "Priority": "waits behind jobs of higher priority",
    "Dependency": "waits for the tasks it depends on",
    "BeginTime": "waits for its start time, or until it may start again",
    "JobHeldUser": "held: release it with scontrol release",
    "JobHeldAdmin": "held by an administrator",
    "Licenses": "waits for licences",
    "Reservation": "waits for its reservation",
    "ReqNodeNotAvail": "a node that it needs is not available",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition is inactive",
    "NodeDown": "a node that it needs is down",
    "JobArrayTaskLimit": "waits for other elements of its array",
    "PartitionTimeLimit": f"asks for more time than its partition allows: {_NEVER}",
    "PartitionNodeLimit": f"asks for more nodes than its partition allows: {_NEVER}",
    "PartitionConfig": f"asks for more than its partition has: {_NEVER}",
    "BadConstraints": f"no node can satisfy it: {_NEVER}",
    "DependencyNeverSatisfied": "a task that it depends on did not succeed",
    "AccountNotAllowed": f"its account may not use this partition: {_NEVER}",
    "QOSNotAllowed": f"its qos may not be used here: {_NEVER}",
    "InvalidAccount": f"there is no such account: {_NEVER}",
    "InvalidQOS": f"there is no such qos: {_NEVER}",
}


def knows_the_end(node: TaskReport | None) -> bool:
    """Whether a folder says how its task ended; that all its processes are gone says only that Slurm must be asked."""
    return node is not None and node.is_final and node.state != "lost"


def was_killed(node: TaskReport | None) -> bool:
    """Whether a task was ended by SIGKILL: Slurm may know that it was for its memory."""
    return (
        node is not None and node.state == "failed" and bool(node.attempts) and node.attempts[-1].exit_code == _KILLED
    )


def needs_nobody(node: TaskReport | None) -> bool:
    """Whether Slurm need not be asked any more."""
    return knows_the_end(node) and not _is_open_to_slurm(node)


def _is_open_to_slurm(node: TaskReport | None) -> bool:
    """Whether the runner saw an end of which only Slurm knows what it was: a kill for memory, a node that failed."""
    return was_killed(node) or (node is not None and node.state == "preempted")


def accepted() -> TaskReport:
    """The report of a job that was accepted after Slurm was asked last."""
    return TaskReport("pending", "accepted by Slurm", observed_at=time.time())


def report(job: Job, node: TaskReport | None, at: float) -> TaskReport:
    """Merge what Slurm says (asked ``at``) with what the folder says, whose word on an end counts first."""
    if node is not None and knows_the_end(node):
        return _judged(job, node) if _is_open_to_slurm(node) else node
    if job.state == "PENDING":
        return _pending(job, node, at)
    if not job.is_final or (job.state in ("COMPLETED", "FAILED") and time.time() - (job.end or at) < _SETTLING):
        return _live(job, node, at)
    return _ended(job, node, at)


def _judged(job: Job, node: TaskReport) -> TaskReport:
    if not job.is_final and not _lingers(job, node):
        return attrs.evolve(node, state="running", reason="ending")
    if job.state == "NODE_FAIL" and node.state == "preempted":
        state, reason = _verdict(job)
        last = attrs.evolve(node.attempts[-1], state=state, reason=reason)
        return attrs.evolve(node, state=state, reason=reason, attempts=(*node.attempts[:-1], last))
    return attrs.evolve(node, reason=OUT_OF_MEMORY) if job.state == "OUT_OF_MEMORY" else node


def _lingers(job: Job, node: TaskReport) -> bool:
    """Whether Slurm waits for a node that is silent, which may take it minutes: what the folder says has to do."""
    ended = node.attempts[-1].ended_at
    return job.state == "COMPLETING" and ended is not None and time.time() - ended > _SETTLING


def _pending(job: Job, node: TaskReport | None, at: float) -> TaskReport:
    return TaskReport(
        "pending",
        waiting(job.reason),
        attempts=_closed(node, "preempted", "the platform took the machine back"),
        observed_at=at,
        expected_start=job.start,
    )


def waiting(reason: str) -> str:
    """Say why a job waits, with Slurm's own word for it."""
    word = re.match(r"\(?([A-Za-z]*)", reason)
    known = _WAITING.get(word[1], "") if word else ""
    if not known and word and word[1].startswith(("QOS", "Assoc", "MaxJobs")):
        known = "a limit of its account or qos is reached"
    return f"{known} ({reason})" if known else f"Slurm says: {reason}"


def _live(job: Job, node: TaskReport | None, at: float) -> TaskReport:
    if node is not None and node.state == "running" and node.attempts:
        return attrs.evolve(node, observed_at=at)
    started = f"starting on {job.nodes}" if job.nodes else "starting"
    return TaskReport("provisioning", started, node.attempts if node else (), observed_at=at)


def _ended(job: Job, node: TaskReport | None, at: float) -> TaskReport:
    state, reason = _verdict(job)
    attempts = _closed(node, state, reason) or ()
    if not attempts and state != "cancelled":
        attempts = (Attempt(job.restarts + 1, state, started_at=job.start, ended_at=job.end),)
    if attempts:
        attempts = (*attempts[:-1], _told(attempts[-1], job, state, reason))
    return TaskReport(state, reason, attempts, observed_at=at)


def _verdict(job: Job) -> tuple[str, str]:
    if job.state == "CANCELLED" and job.reason == "DependencyNeverSatisfied":
        return "failed", _WAITING[job.reason]
    state, text = _STATES.get(job.state, ("failed", _FAILED.get(job.reason, "Slurm says: {reason}")))
    return state, text.format(nodes=job.nodes, code=job.exit_code, reason=job.reason)


def _told(last: Attempt, job: Job, state: str, reason: str) -> Attempt:
    code = last.exit_code
    said = ("COMPLETED",) if job.reason == ACCOUNTED else ("FAILED", "COMPLETED", "OUT_OF_MEMORY")
    if code is None and state in ("failed", "succeeded") and job.state in said:
        code = job.exit_code
    return attrs.evolve(last, state=state, reason=reason, exit_code=code, ended_at=last.ended_at or job.end)


def _closed(node: TaskReport | None, state: str, reason: str) -> tuple[Attempt, ...]:
    """Return the attempts that the folder knows; one that has no end there has ended with its job."""
    found = node.attempts if node is not None else ()
    if not found or found[-1].state not in _OPEN:
        return found
    nodes = tuple(
        attrs.evolve(one, state=state, reason=reason) if one.state in _OPEN else one for one in found[-1].nodes
    )
    return (*found[:-1], attrs.evolve(found[-1], state=state, reason=reason, nodes=nodes))
