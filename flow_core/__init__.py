"""Flow: run a GPU task on this machine, on a cluster or in a cloud; providers are plugins.

Public names are imported when they are first used, so that ``import flow_core`` costs next to nothing::

    import flow_core as flow

    task = flow.run("python train.py", gpu="a100")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flow_core._lazy import attribute

if TYPE_CHECKING:
    from flow_core import aio as aio, nodes as nodes
    from flow_core._functions import (
        function as function,
        invoke as invoke,
        run as run,
        submit as submit,
        task as task,
        tasks as tasks,
    )
    from flow_core.client import (
        Artifact as Artifact,
        Flow as Flow,
        Plan as Plan,
        Task as Task,
        exit_status as exit_status,
    )
    from flow_core.errors import (
        AuthError as AuthError,
        CapabilityError as CapabilityError,
        ConfigError as ConfigError,
        ConflictError as ConflictError,
        FlowError as FlowError,
        NotFoundError as NotFoundError,
        PluginError as PluginError,
        PolicyError as PolicyError,
        ProviderError as ProviderError,
        QuotaError as QuotaError,
        RemoteError as RemoteError,
        StateError as StateError,
        TaskFailed as TaskFailed,
        TaskLostError as TaskLostError,
        TransientError as TransientError,
        UnavailableError as UnavailableError,
    )
    from flow_core.functions import (
        RemoteFunction as RemoteFunction,
    )
    from flow_core.hookspecs import (
        hookimpl as hookimpl,
    )
    from flow_core.secrets import (
        Secret as Secret,
    )
    from flow_core.types import (
        Attempt as Attempt,
        AuthField as AuthField,
        Bundle as Bundle,
        CodeSpec as CodeSpec,
        CredentialRequest as CredentialRequest,
        DoctorCheck as DoctorCheck,
        Event as Event,
        FrontendTask as FrontendTask,
        HealthSpec as HealthSpec,
        Identity as Identity,
        LogChunk as LogChunk,
        LogCursor as LogCursor,
        Mount as Mount,
        NodeAccess as NodeAccess,
        NodeReport as NodeReport,
        Offer as Offer,
        OfferRequest as OfferRequest,
        PolicyContext as PolicyContext,
        PortSpec as PortSpec,
        Position as Position,
        Problem as Problem,
        ProviderFacts as ProviderFacts,
        Refusal as Refusal,
        Resource as Resource,
        Resources as Resources,
        ResultInfo as ResultInfo,
        SecretBox as SecretBox,
        SecretRef as SecretRef,
        ShellSession as ShellSession,
        Submission as Submission,
        TaskConfig as TaskConfig,
        TaskListing as TaskListing,
        TaskRef as TaskRef,
        TaskReport as TaskReport,
        Ticket as Ticket,
        Volume as Volume,
        VolumeSpec as VolumeSpec,
    )

_HOMES = {
    "flow_core._functions": "function invoke run submit task tasks",
    "flow_core.client": "Artifact Flow Plan Task exit_status",
    "flow_core.errors": "AuthError CapabilityError ConfigError ConflictError FlowError NotFoundError PluginError PolicyError ProviderError QuotaError RemoteError StateError TaskFailed TaskLostError TransientError UnavailableError",
    "flow_core.functions": "RemoteFunction",
    "flow_core.hookspecs": "hookimpl",
    "flow_core.secrets": "Secret",
    "flow_core.types": "Attempt AuthField Bundle CodeSpec CredentialRequest DoctorCheck Event FrontendTask HealthSpec Identity LogChunk LogCursor Mount NodeAccess NodeReport Offer OfferRequest PolicyContext PortSpec Position Problem ProviderFacts Refusal Resource Resources ResultInfo SecretBox SecretRef ShellSession Submission TaskConfig TaskListing TaskRef TaskReport Ticket Volume VolumeSpec",
}
_MODULES = frozenset({"aio", "nodes"})

__all__ = [
    "Artifact",
    "Attempt",
    "AuthError",
    "AuthField",
    "Bundle",
    "CapabilityError",
    "CodeSpec",
    "ConfigError",
    "ConflictError",
    "CredentialRequest",
    "DoctorCheck",
    "Event",
    "Flow",
    "FlowError",
    "FrontendTask",
    "HealthSpec",
    "Identity",
    "LogChunk",
    "LogCursor",
    "Mount",
    "NodeAccess",
    "NodeReport",
    "NotFoundError",
    "Offer",
    "OfferRequest",
    "Plan",
    "PluginError",
    "PolicyContext",
    "PolicyError",
    "PortSpec",
    "Position",
    "Problem",
    "ProviderError",
    "ProviderFacts",
    "QuotaError",
    "Refusal",
    "RemoteError",
    "RemoteFunction",
    "Resource",
    "Resources",
    "ResultInfo",
    "Secret",
    "SecretBox",
    "SecretRef",
    "ShellSession",
    "StateError",
    "Submission",
    "Task",
    "TaskConfig",
    "TaskFailed",
    "TaskListing",
    "TaskLostError",
    "TaskRef",
    "TaskReport",
    "Ticket",
    "TransientError",
    "UnavailableError",
    "Volume",
    "VolumeSpec",
    "aio",
    "exit_status",
    "function",
    "hookimpl",
    "invoke",
    "nodes",
    "run",
    "submit",
    "task",
    "tasks",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"flow_core.{name}")
    if name == "__version__":
        from flow_core.plugins._metadata import core_version

        return core_version()
    return attribute(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
