"""Host hooks: policy, audit, credentials, checks. Many plugins may answer: those of ``flow.plugins`` entry points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flow_core.hookspecs._markers import hookspec, optional
from flow_core.secrets import Secret
from flow_core.types import CredentialRequest, DoctorCheck, Event, PolicyContext, Refusal, TaskConfig


class HostHooks(Protocol):
    """All optional. Host plugins are imported when the first provider is opened: never for help, version or a list."""

    @hookspec
    def flow_event(self, event: Event) -> None:
        """Hear of something that happened; never fails a task: an exception becomes a warning; 1 s.

        Example::

            @hookimpl
            def flow_event(self, event):
                self._log.write(f"{event.at} {event.kind} {event.task_id}\\n")
        """
        optional("flow_event")

    @hookspec
    def flow_scope_wrappers(self, provider: str, profile: str) -> Sequence[object]:
        """Offer wrappers for a profile's hooks: objects whose methods are marked ``@hookimpl(wrapper=True)``.

        Called when the profile is opened; pure; 1 s. Wrappers run sorted by plugin name, the first outermost. For a
        stream a wrapper may return its own iterator.

        Example::

            @hookimpl
            def flow_scope_wrappers(self, provider, profile):
                return [Audit(profile)]
        """
        optional("flow_scope_wrappers")

    @hookspec(firstresult=True)
    def flow_credential(self, request: CredentialRequest) -> Secret | None:
        """Give a credential that settings, keyring and file do not have, or None to pass; 10 s.

        Example::

            @hookimpl
            def flow_credential(self, request):
                return Secret(vault.read(f"{request.provider}/{request.field}"), request.field)
        """
        optional("flow_credential")

    @hookspec
    def flow_doctor_checks(self) -> Sequence[DoctorCheck]:
        """Add findings to ``flow doctor``; read only; 15 s.

        Example::

            @hookimpl
            def flow_doctor_checks(self):
                return [DoctorCheck("vault", "ok", "reachable")]
        """
        optional("flow_doctor_checks")

    @hookspec
    def flow_task_config(self, config: TaskConfig, context: PolicyContext) -> TaskConfig | Refusal | None:
        """Amend or refuse a task before it is checked; None leaves it as it is; pure; 1 s.

        Policies are a chain, sorted by plugin name: each sees what the one before returned, and the result is
        validated again.

        Example::

            @hookimpl
            def flow_task_config(self, config, context):
                if config.time_limit is None:
                    return Refusal("every task needs a time limit", "add --time-limit")
                return None
        """
        optional("flow_task_config")
