"""Provisioning: the heart of a provider. Four hooks are required, the others are offered where they make sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from flow_core.hookspecs._markers import hookspec, optional
from flow_core.types import (
    DoctorCheck,
    Offer,
    OfferRequest,
    Problem,
    ProviderFacts,
    QueuedTask,
    Resource,
    Submission,
    TaskConfig,
    TaskListing,
    TaskRef,
    TaskReport,
)


class ProvisionHooks(Protocol):
    """Required: submit, find, status and cancel (and ``flow_node_access`` or ``flow_logs_read``)."""

    @hookspec(firstresult=True)
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        """Accept a task and return the provider's name for it, as soon as it is accepted.

        Called after the intent is in the journal; 60 s. Idempotent: the same ``submission.request_id`` gives the same
        reference and nothing new, also from two processes at once, so carry it in whatever the platform lets you find
        again (a name, a comment, a tag). Core never repeats a submit without asking ``flow_provision_find``.
        Raises QuotaError, ConflictError, UnavailableError when nothing was accepted, TransientError when it is unknown.

        Example::

            @hookimpl
            def flow_provision_submit(self, submission):
                job = self._api.post("/jobs", name=submission.request_id, command=submission.config.command)
                return TaskRef(job["id"])
        """
        ...

    @hookspec(firstresult=True)
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]:
        """Find what became of submissions: every reference of each request id, oldest first.

        Called to reconcile after a crash and before any second submit; read only; 30 s. ``since``: UTC seconds of the
        oldest intent. An id that is left out is surely not there; raise TransientError when that cannot be known.

        Example::

            @hookimpl
            def flow_provision_find(self, request_ids, since):
                return {name: [TaskRef(j["id"]) for j in self._api.jobs(name=name)] for name in request_ids}
        """
        ...

    @hookspec(firstresult=True)
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        """Report on many tasks in one call.

        Polled, all open references of a profile at once; read only; 30 s. A reference that is left out is unknown to
        the provider: never guess. Raises TransientError when nobody answers.

        Example::

            @hookimpl
            def flow_provision_status(self, refs):
                jobs = {j["id"]: j for j in self._api.jobs()}
                return {ref: report(jobs[ref.id]) for ref in refs if ref.id in jobs}
        """
        ...

    @hookspec(firstresult=True)
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        """End a task: its stop signal, ``grace_seconds``, then by force. Returns at once.

        True: it will end. False: it had ended. NotFoundError: it never was. May be repeated; 30 s.

        Example::

            @hookimpl
            def flow_provision_cancel(self, ref, grace_seconds):
                return self._api.delete(f"/jobs/{ref.id}").status != "finished"
        """
        ...

    @hookspec(firstresult=True)
    def flow_provider_facts(self) -> ProviderFacts:
        """State what is true of this provider whatever the account; pure, no I/O. Without it everything is false.

        Example::

            @hookimpl
            def flow_provider_facts(self):
                return ProviderFacts(multi_node=True, spot=True, settle_seconds=60)
        """
        optional("flow_provider_facts")

    @hookspec(firstresult=True)
    def flow_provision_check(self, config: TaskConfig) -> Sequence[Problem]:
        """Name everything that would keep this task from running here: types, quota, regions, prices, names.

        Called before every submit and by ``--dry-run``; may read remotely, has no side effect; 15 s. All problems at
        once; an empty sequence means go. Without it dry runs say that quota and availability were not checked.

        Example::

            @hookimpl
            def flow_provision_check(self, config):
                if config.num_instances > 8:
                    return [Problem("num_instances", "TOO_MANY_NODES", "acme runs at most 8 nodes")]
                return []
        """
        optional("flow_provision_check")

    @hookspec(firstresult=True)
    def flow_provision_offers(self, request: OfferRequest) -> Sequence[Offer]:
        """List what could be had, cheapest first; read only; 15 s. Without it no price is known and a cost cap refuses.

        Example::

            @hookimpl
            def flow_provision_offers(self, request):
                return [Offer("8xh100", gpu="h100", gpu_count=8, price_per_hour=Decimal("19.90"), available=3)]
        """
        optional("flow_provision_offers")

    @hookspec(firstresult=True)
    def flow_provision_preview(self, submission: Submission) -> Mapping[str, str]:
        """Show what would be sent (name -> text: a batch script, a request body), secrets masked; pure; 5 s.

        Example::

            @hookimpl
            def flow_provision_preview(self, submission):
                return {"job.json": json.dumps(self._body(submission), indent=2)}
        """
        optional("flow_provision_preview")

    @hookspec(firstresult=True)
    def flow_provision_submit_many(self, submissions: Sequence[Submission]) -> Mapping[str, TaskRef | Problem]:
        """Submit many that differ only in environment and arguments, in one request; answers by request id; 60 s.

        Each as idempotent as ``flow_provision_submit``. Without it core submits one after the other.

        Example::

            @hookimpl
            def flow_provision_submit_many(self, submissions):
                return {s.request_id: TaskRef(i) for s, i in zip(submissions, self._api.post_array(submissions))}
        """
        optional("flow_provision_submit_many")

    @hookspec(firstresult=True)
    def flow_provision_list(self, since: float) -> Sequence[TaskListing]:
        """List every task of ours submitted after ``since`` (UTC seconds), so that a lost journal is built again; 30 s.

        Example::

            @hookimpl
            def flow_provision_list(self, since):
                jobs = self._api.jobs(label="flow", since=since)
                return [TaskListing(TaskRef(j["id"]), j["name"], j["task"], j["title"], j["created"]) for j in jobs]
        """
        optional("flow_provision_list")

    @hookspec(firstresult=True)
    def flow_provision_release(self, ref: TaskRef) -> bool:
        """Give the machine of an ended task back, when its report said ``machine_held``; may be repeated; 30 s.

        Called when all that the task keeps is in its result store, unless the machine is to be kept for another task
        (``keep``), also where the machine cannot be reached any more; and by ``flow machines release TASK``.

        Example::

            @hookimpl
            def flow_provision_release(self, ref):
                return self._api.delete(f"/machines/{ref.id}").ok
        """
        optional("flow_provision_release")

    @hookspec(firstresult=True)
    def flow_provision_queue(self) -> Sequence[QueuedTask]:
        """List our tasks that run, then those that wait, in the order in which they will start, each with its reason.

        For ``flow queue``; read only; 30 s. A reason is one line that names what it waits for and who has it.

        Example::

            @hookimpl
            def flow_provision_queue(self):
                jobs = sorted(self._api.jobs(mine=True), key=lambda j: j["rank"])
                return [QueuedTask(TaskRef(j["id"]), j["task"], "pending", j["why"], place=j["rank"]) for j in jobs]
        """
        optional("flow_provision_queue")

    @hookspec(firstresult=True)
    def flow_provider_checks(self) -> Sequence[DoctorCheck]:
        """Add findings about this profile to ``flow doctor``: what is enforced, what is missing; read only; 15 s.

        Example::

            @hookimpl
            def flow_provider_checks(self):
                return [DoctorCheck("acme quota", "ok", "8 GPUs")]
        """
        optional("flow_provider_checks")


class ResourceHooks(Protocol):
    """Optional: what a provider holds for us beside tasks (kept machines, minted keys): nothing bills unseen."""

    @hookspec(firstresult=True)
    def flow_resource_list(self) -> Sequence[Resource]:
        """List whatever carries our label and is not a task; read only; 30 s.

        Example::

            @hookimpl
            def flow_resource_list(self):
                return [Resource(k["id"], "key", name=k["name"]) for k in self._api.keys(label="flow")]
        """
        ...

    @hookspec(firstresult=True)
    def flow_resource_delete(self, id: str) -> bool:  # noqa: A002 - the contract's word
        """Delete one of them; True when it was there; may be repeated; 30 s.

        Example::

            @hookimpl
            def flow_resource_delete(self, id):
                return self._api.delete(f"/keys/{id}").ok
        """
        ...
