"""A provider as the rest of the program sees it: typed methods, checked answers, bounded calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from flow_core.errors import ConfigError
from flow_core.faces._face import Face
from flow_core.types import (
    DoctorCheck,
    Identity,
    LogChunk,
    LogCursor,
    NodeAccess,
    Offer,
    OfferRequest,
    Problem,
    ProviderFacts,
    QueuedTask,
    Resource,
    ShellSession,
    Submission,
    TaskConfig,
    TaskListing,
    TaskRef,
    TaskReport,
    Volume,
    VolumeSpec,
)

if TYPE_CHECKING:
    from flow_core.plugins._scope import Scope
    from flow_core.settings import Profile, Question
    from flow_core.types import AuthField

_BOUNDS = {
    "flow_auth_check": 15.0,
    "flow_auth_fields": 5.0,
    "flow_provision_check": 15.0,
    "flow_provision_offers": 15.0,
    "flow_provision_preview": 5.0,
    "flow_provision_submit": 60.0,
    "flow_provision_submit_many": 60.0,
    "flow_provision_find": 30.0,
    "flow_provision_status": 30.0,
    "flow_provision_cancel": 30.0,
    "flow_provision_list": 30.0,
    "flow_provision_release": 30.0,
    "flow_provision_queue": 30.0,
    "flow_provider_checks": 15.0,
    "flow_resource_list": 30.0,
    "flow_resource_delete": 30.0,
    "flow_node_access": 10.0,
    "flow_logs_read": 30.0,
    "flow_shell_exec": 30.0,
    "flow_shell_forward": 10.0,
    "flow_files_get": 30.0,
    "flow_volume_create": 120.0,
    "flow_volume_list": 30.0,
    "flow_volume_delete": 120.0,
    "flow_volume_attach": 120.0,
    "flow_volume_snapshot": 120.0,
}
"""Hook -> seconds after which its caller gets a TransientError; the call itself goes on in its thread."""


class Provider(Face):
    """One opened provider. Every method raises CapabilityError before anything happens when its hook is missing."""

    bounds = _BOUNDS

    def __init__(self, scope: Scope, provider: str, profile: str) -> None:
        super().__init__(scope)
        self.provider = provider
        self.profile = profile

    @cached_property
    def facts(self) -> ProviderFacts:
        """What is true of it whatever the account."""
        if "flow_provider_facts" not in self.supports:
            return ProviderFacts()
        return self._typed("flow_provider_facts", self._scope.call("flow_provider_facts"), ProviderFacts)

    def _is_prompt(self) -> bool:
        return self.facts.prompt

    def options(self, config: TaskConfig) -> object:
        """Return the config's section of this provider as its typed ``Options``; None where it has none.

        Raises ConfigError for what it does not take.
        """
        section = config.options.get(self.provider, {})
        kind = getattr(self._scope.plugin_class, "Options", None)
        path = f"options.{self.provider}"
        if kind is not None:
            from flow_core.settings import options

            return options(kind, section, path)
        if section:
            said = {key: f"{self.provider} has no option {key!r}" for key in section}
            problems = [Problem(f"{path}.{key}", "UNKNOWN_OPTION", text, "leave it out") for key, text in said.items()]
            raise ConfigError(f"{self.provider} takes no options of its own", problems=problems)
        return None

    def questions(self, profile: Profile) -> list[Question]:
        """Return what its settings ask of a person, as far as ``profile`` leaves that open."""
        kind = getattr(self._scope.plugin_class, "Settings", None)
        if kind is None:
            return []
        from flow_core.settings import questions

        return questions(kind, profile)

    def auth_check(self) -> Identity:
        """Say whom the credentials stand for."""
        return self._typed("flow_auth_check", self._call("flow_auth_check"), Identity)

    def auth_fields(self) -> list[AuthField]:
        """Name what ``flow login`` asks for."""
        from flow_core.types import AuthField

        return self._listed("flow_auth_fields", self._call("flow_auth_fields"), AuthField)

    def check(self, config: TaskConfig) -> list[Problem]:
        """Name what would keep ``config`` from running here."""
        return self._listed("flow_provision_check", self._call("flow_provision_check", config=config), Problem)

    def offers(self, request: OfferRequest) -> list[Offer]:
        """List what could be had."""
        return self._listed("flow_provision_offers", self._call("flow_provision_offers", request=request), Offer)

    def preview(self, submission: Submission) -> Mapping[str, str]:
        """Show what would be sent."""
        return self._mapped("flow_provision_preview", self._call("flow_provision_preview", submission=submission))

    def submit(self, submission: Submission) -> TaskRef:
        """Submit; idempotent by ``submission.request_id``. TransientError means that the outcome is unknown."""
        return self._typed("flow_provision_submit", self._call("flow_provision_submit", submission=submission), TaskRef)

    def submit_many(self, submissions: Sequence[Submission]) -> dict[str, TaskRef | Problem]:
        """Submit many at once, each as :meth:`submit` does; its reference or its refusal by request id."""
        hook = "flow_provision_submit_many"
        answer = self._mapped(hook, self._call(hook, submissions=tuple(submissions)))
        return {n: one if isinstance(one, Problem) else self._typed(hook, one, TaskRef) for n, one in answer.items()}

    def find(self, request_ids: Sequence[str], since: float) -> dict[str, list[TaskRef]]:
        """Return every reference of each request id, oldest first; ids that are surely unknown are absent."""
        hook = "flow_provision_find"
        answer = self._mapped(hook, self._call(hook, request_ids=tuple(request_ids), since=since))
        return {name: self._listed(hook, refs, TaskRef) for name, refs in answer.items() if refs}

    def status(self, refs: Sequence[TaskRef]) -> dict[TaskRef, TaskReport]:
        """Report on many tasks; a reference the provider does not know is absent."""
        hook = "flow_provision_status"
        answer = self._mapped(hook, self._call(hook, refs=tuple(refs)))
        return {
            self._typed(hook, ref, TaskRef): self._typed(hook, report, TaskReport) for ref, report in answer.items()
        }

    def cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        """End a task; False when it had ended."""
        hook = "flow_provision_cancel"
        return self._typed(hook, self._call(hook, ref=ref, grace_seconds=grace_seconds), bool)

    def list_tasks(self, since: float) -> list[TaskListing]:
        """List every task of ours that the provider knows."""
        return self._listed("flow_provision_list", self._call("flow_provision_list", since=since), TaskListing)

    def release(self, ref: TaskRef) -> bool:
        """Give the machine of an ended task back."""
        return self._typed("flow_provision_release", self._call("flow_provision_release", ref=ref), bool)

    def queue(self) -> list[QueuedTask]:
        """List what runs and what waits, in order."""
        return self._listed("flow_provision_queue", self._call("flow_provision_queue"), QueuedTask)

    def checks(self) -> list[DoctorCheck]:
        """Return what it adds to ``flow doctor``; nothing where it has nothing to say."""
        if "flow_provider_checks" not in self.supports:
            return []
        return self._listed("flow_provider_checks", self._call("flow_provider_checks"), DoctorCheck)

    def resources(self) -> list[Resource]:
        """List what the provider holds for us beside tasks."""
        return self._listed("flow_resource_list", self._call("flow_resource_list"), Resource)

    def delete_resource(self, id: str) -> bool:  # noqa: A002 - the contract's word
        """Delete one of them; True when it was there."""
        return self._typed("flow_resource_delete", self._call("flow_resource_delete", id=id), bool)

    def node_access(self, ref: TaskRef) -> list[NodeAccess]:
        """Say where the nodes are; empty while they are not up, or where the provider gives no access."""
        if "flow_node_access" not in self.supports:
            return []
        return self._listed("flow_node_access", self._call("flow_node_access", ref=ref), NodeAccess)

    def logs(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        """Yield the log from ``cursor`` on, where the provider reads logs itself."""
        hook = "flow_logs_read"
        return self._stream(hook, self._call(hook, ref=ref, cursor=cursor, follow=follow), LogChunk)

    def shell_exec(self, ref: TaskRef, rank: int, command: Sequence[str], tty: bool) -> ShellSession:
        """Say how to run ``command`` on a node."""
        hook = "flow_shell_exec"
        answer = self._call(hook, ref=ref, rank=rank, command=tuple(command), tty=tty)
        return self._typed(hook, answer, ShellSession)

    def shell_forward(self, ref: TaskRef, rank: int, port: int) -> tuple[str, int]:
        """Make a task's port reachable from here; return (host, port)."""
        hook = "flow_shell_forward"
        return self._typed(hook, self._call(hook, ref=ref, rank=rank, port=port), tuple)

    def get_file(self, ref: TaskRef, rank: int, path: str) -> Iterator[bytes]:
        """Yield a file's bytes."""
        hook = "flow_files_get"
        return self._stream(hook, self._call(hook, ref=ref, rank=rank, path=path), bytes)

    def put_file(self, ref: TaskRef, rank: int, path: str, mode: int, data: Iterator[bytes]) -> int:
        """Write a file; return its size in bytes."""
        hook = "flow_files_put"
        return self._typed(hook, self._call(hook, ref=ref, rank=rank, path=path, mode=mode, data=data), int)

    def create_volume(self, spec: VolumeSpec, request_id: str) -> Volume:
        """Create a volume; idempotent by ``request_id``."""
        return self._typed(
            "flow_volume_create", self._call("flow_volume_create", spec=spec, request_id=request_id), Volume
        )

    def volumes(self) -> list[Volume]:
        """List the volumes."""
        return self._listed("flow_volume_list", self._call("flow_volume_list"), Volume)

    def attach_volume(self, id: str, ref: TaskRef) -> Volume:  # noqa: A002 - the contract's word
        """Attach a volume to a task that is not running."""
        return self._typed("flow_volume_attach", self._call("flow_volume_attach", id=id, ref=ref), Volume)

    def delete_volume(self, id: str) -> bool:  # noqa: A002 - the contract's word
        """Delete a volume and what is in it; True when it was there."""
        return self._typed("flow_volume_delete", self._call("flow_volume_delete", id=id), bool)

    def snapshot_volume(self, id: str, name: str) -> Volume:  # noqa: A002 - the contract's word
        """Copy a volume as it is now into a new one called ``name``."""
        return self._typed("flow_volume_snapshot", self._call("flow_volume_snapshot", id=id, name=name), Volume)
